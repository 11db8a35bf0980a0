-- 目标表   : retail_dw.dws_trade_store_1d（门店交易_日汇总）
-- 来源     : dwd_trade_order_detail_di, dwd_trade_refund_di
-- 调度     : 每日 03:00
-- 遗留     : 两个去重计数待改为两段聚合（数据量小，暂不影响时效）
WITH sale AS (
    SELECT   store_code,
             COUNT(DISTINCT order_id)                                    AS order_cnt,
             COUNT(DISTINCT IF(member_id = '-1', NULL, member_id))       AS member_cnt,
             SUM(item_amt - discount_amt)                                AS sale_amt
    FROM     retail_dw.dwd_trade_order_detail_di
    WHERE    dt = '${bizdate}'
    GROUP BY store_code
),
refund AS (
    SELECT   store_code, SUM(refund_amt) AS refund_amt
    FROM     retail_dw.dwd_trade_refund_di
    WHERE    dt = '${bizdate}'
    GROUP BY store_code
)
INSERT OVERWRITE TABLE retail_dw.dws_trade_store_1d PARTITION (dt = '${bizdate}')
SELECT  s.store_code,
        s.order_cnt,
        s.member_cnt,
        s.sale_amt,
        COALESCE(r.refund_amt, 0) AS refund_amt
FROM    sale s
LEFT JOIN refund r ON r.store_code = s.store_code;
