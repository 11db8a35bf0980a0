-- ============================================================
-- 目标表   : retail_dw.ads_sales_daily_report（销售日报）
-- 来源     : dws_trade_store_1d, dim_store_df
-- 调度     : 每日 04:00；报表平台 06:00 读取
-- ============================================================
WITH by_region AS (
    SELECT   COALESCE(m.region_name, '未分区') AS region_name,
             SUM(t.order_cnt)                  AS order_cnt,
             SUM(t.sale_amt)                   AS sale_amt,
             SUM(t.refund_amt)                 AS refund_amt
    FROM     retail_dw.dws_trade_store_1d t
    LEFT JOIN retail_dw.dim_store_df m
      ON     m.store_code = t.store_code
     AND     m.dt = '${bizdate}'
    WHERE    t.dt = '${bizdate}'
    GROUP BY COALESCE(m.region_name, '未分区')
)
INSERT OVERWRITE TABLE retail_dw.ads_sales_daily_report PARTITION (dt = '${bizdate}')
SELECT '${bizdate}', region_name, order_cnt, sale_amt, ROUND(refund_amt / NULLIF(sale_amt, 0), 4)
FROM   by_region
UNION
SELECT '${bizdate}', '全国', SUM(order_cnt), SUM(sale_amt), ROUND(SUM(refund_amt) / NULLIF(SUM(sale_amt), 0), 4)
FROM   by_region;
