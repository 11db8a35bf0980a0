-- 目标表   : retail_dw.dwd_member_info_df（会员信息_日全量）
-- 来源     : ods_crm_member_df
-- 调度     : 每日 02:00
-- 依赖 UDF : mask_phone（见 lib/retail-udf；单元测试随包交付）
ADD JAR hdfs:///apps/retail/lib/retail-udf-1.4.0.jar;
CREATE TEMPORARY FUNCTION mask_phone AS 'com.example.retail.udf.MaskPhoneUDF';

INSERT OVERWRITE TABLE retail_dw.dwd_member_info_df PARTITION (dt = '${bizdate}')
SELECT  member_id,
        mask_phone(mobile)                                  AS mobile_mask,
        IF(gender IN ('M', 'F'), gender, 'U')               AS gender,
        CASE WHEN birthday IS NULL OR birthday = ''         THEN '未知'
             WHEN DATEDIFF(CURRENT_DATE, birthday) < 25*365 THEN '25 岁以下'
             WHEN DATEDIFF(CURRENT_DATE, birthday) < 45*365 THEN '25-44 岁'
             ELSE '45 岁及以上' END                          AS age_group,
        level_code,
        REGEXP_REPLACE(SUBSTR(register_time, 1, 10), '-', '') AS register_date
FROM    retail_dw.ods_crm_member_df
WHERE   dt = '${bizdate}';
