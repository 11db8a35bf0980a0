-- ============================================================
-- 目标表   : retail_dw.dwd_trade_order_detail_di（交易订单明细事实表）
-- 来源     : ods_trade_order_di, ods_trade_order_item_di
-- 调度     : 每日 02:00；参数 bizdate = 业务日期 yyyyMMdd
-- 口径     : 只取已付与已发；整单优惠按行金额占比分摊
-- ============================================================
SET hive.auto.convert.join=true;

WITH paid AS (
    SELECT  order_id,
            COALESCE(NULLIF(TRIM(member_id), ''), '-1') AS member_id,
            store_code,
            channel_code,
            order_amt,
            discount_amt,
            pay_time
    FROM    retail_dw.ods_trade_order_di
    WHERE   dt = '${bizdate}'
      AND   order_status IN ('20', '30')
      AND   pay_time IS NOT NULL
)
INSERT OVERWRITE TABLE retail_dw.dwd_trade_order_detail_di PARTITION (dt = '${bizdate}')
SELECT /*+ MAPJOIN(o) */
        i.order_id,
        i.item_no,
        o.member_id,
        o.store_code,
        o.channel_code,
        i.sku_code,
        i.quantity,
        i.item_amt,
        CAST(IF(o.order_amt = 0, 0, o.discount_amt * i.item_amt / o.order_amt) AS DECIMAL(18,2)) AS discount_amt,
        o.pay_time
FROM    retail_dw.ods_trade_order_item_di i
JOIN    paid o
  ON    o.order_id = i.order_id
WHERE   i.dt = '${bizdate}';
