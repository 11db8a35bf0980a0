-- 目标表   : retail_dw.dim_store_df（门店维度_日全量）
-- 来源     : 主数据 mdm.store
-- 调度     : 每日 01:00
INSERT OVERWRITE TABLE retail_dw.dim_store_df PARTITION (dt = '${bizdate}')
SELECT  s.store_code,
        TRIM(s.store_name)                              AS store_name,
        CASE s.store_type WHEN '1' THEN '大卖场'
                          WHEN '2' THEN '标超'
                          ELSE '便利店' END              AS store_type,
        s.city_name,
        COALESCE(r.region_name, '未分区')               AS region_name,
        s.open_date,
        IF(s.close_date IS NULL OR s.close_date = '', 1, 0) AS is_open
FROM    mdm.store s
LEFT JOIN mdm.region r
       ON r.city_code = s.city_code
WHERE   s.is_deleted = 0;
