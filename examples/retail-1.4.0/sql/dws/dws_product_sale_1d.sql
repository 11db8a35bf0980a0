-- 目标表   : retail_dw.dws_product_sale_1d（商品销售_日汇总）
-- 来源     : dwd_trade_order_detail_di, dim_product_df
-- 调度     : 每日 03:00
INSERT OVERWRITE TABLE retail_dw.dws_product_sale_1d PARTITION (dt = '${bizdate}')
SELECT   d.sku_code,
         MAX(p.cate1_name)                AS cate1_name,
         COUNT(DISTINCT d.store_code)     AS store_cnt,
         SUM(d.quantity)                  AS quantity,
         SUM(d.item_amt - d.discount_amt) AS sale_amt
FROM     retail_dw.dwd_trade_order_detail_di d
JOIN     retail_dw.dim_product_df p
  ON     p.sku_code = d.sku_code
 AND     p.dt = '${bizdate}'
WHERE    d.dt = '${bizdate}'
GROUP BY d.sku_code;
