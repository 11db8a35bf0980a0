-- 目标表   : retail_dw.ods_crm_member_df（会员_日全量）
-- 来源     : 昨日全量 + 今日增量，按更新时间取最新
-- 调度     : 每日 01:00；参数 bizdate = 业务日期, yesterday = 业务日期前一天
SET hive.exec.parallel=true;
SET hive.map.aggr=true;

WITH merged AS (
    SELECT member_id, mobile, gender, birthday, level_code, register_time, update_time
    FROM   retail_dw.ods_crm_member_di
    WHERE  dt = '${bizdate}'
    UNION ALL
    SELECT member_id, mobile, gender, birthday, level_code, register_time, update_time
    FROM   retail_dw.ods_crm_member_df
    WHERE  dt = '${yesterday}'
),
ranked AS (
    SELECT member_id, mobile, gender, birthday, level_code, register_time, update_time,
           ROW_NUMBER() OVER (PARTITION BY member_id ORDER BY update_time DESC) AS rn
    FROM   merged
)
INSERT OVERWRITE TABLE retail_dw.ods_crm_member_df PARTITION (dt = '${bizdate}')
SELECT member_id, mobile, gender, birthday, level_code, register_time, update_time
FROM   ranked
WHERE  rn = 1;
