-- 目标表   : retail_dw.dws_trade_member_nd（会员交易_近 N 天汇总）
-- 来源     : dwd_trade_order_detail_di
-- 调度     : 每日 03:00；参数 bizdate_90d = 业务日期前 90 天
INSERT OVERWRITE TABLE retail_dw.dws_trade_member_nd PARTITION (dt = '${bizdate}')
SELECT   o.member_id,
         MAX(o.dt)       AS last_pay_date,
         COUNT(1)        AS order_cnt_90d,
         SUM(o.sale_amt) AS sale_amt_90d
FROM    (SELECT   dt, member_id, order_id, SUM(item_amt - discount_amt) AS sale_amt
         FROM     retail_dw.dwd_trade_order_detail_di
         WHERE    dt > '${bizdate_90d}' AND dt <= '${bizdate}'
           AND    member_id <> '-1'          -- 散客不参与
         GROUP BY dt, member_id, order_id) o
GROUP BY o.member_id;
