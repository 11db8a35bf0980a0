-- 目标表   : retail_dw.dwd_trade_refund_di（退款事实表）
-- 来源     : ods_trade_refund_di, dwd_trade_order_detail_di
-- 调度     : 每日 02:30
-- 口径     : 退款晚于支付，回看 30 天订单
INSERT OVERWRITE TABLE retail_dw.dwd_trade_refund_di PARTITION (dt = '${bizdate}')
SELECT  f.refund_id,
        f.order_id,
        o.member_id,
        o.store_code,
        f.refund_amt,
        CASE WHEN f.refund_reason RLIKE '破损|过期|变质' THEN '质量'
             WHEN f.refund_reason RLIKE '晚到|未送达'    THEN '物流'
             WHEN f.refund_reason LIKE '%降价%'          THEN '价格'
             ELSE '其他' END AS reason_type
FROM    retail_dw.ods_trade_refund_di f
JOIN   (SELECT   order_id, MAX(member_id) AS member_id, MAX(store_code) AS store_code
        FROM     retail_dw.dwd_trade_order_detail_di
        WHERE    dt BETWEEN '${bizdate_30d}' AND '${bizdate}'
        GROUP BY order_id) o
  ON    o.order_id = f.order_id
WHERE   f.dt = '${bizdate}';
