-- 目标表   : retail_dw.ads_member_rfm（会员 RFM 分层）
-- 来源     : dws_trade_member_nd
-- 调度     : 每日 04:00
-- 阈值     : 与运营部约定，见《发布说明》第 3 节
WITH rfm AS (
    SELECT  member_id,
            DATEDIFF(FROM_UNIXTIME(UNIX_TIMESTAMP('${bizdate}', 'yyyyMMdd'), 'yyyy-MM-dd'),
                     FROM_UNIXTIME(UNIX_TIMESTAMP(last_pay_date, 'yyyyMMdd'), 'yyyy-MM-dd')) AS recency_days,
            order_cnt_90d AS frequency,
            sale_amt_90d  AS monetary
    FROM    retail_dw.dws_trade_member_nd
    WHERE   dt = '${bizdate}'
),
labelled AS (
    SELECT  member_id, recency_days, frequency, monetary,
            CASE WHEN recency_days <= 30 AND frequency >= 6 AND monetary >= 1000 THEN '重要价值'
                 WHEN recency_days >  30 AND monetary >= 1000                    THEN '重要唤回'
                 WHEN recency_days >  60                                         THEN '流失'
                 ELSE '一般' END AS rfm_label
    FROM    rfm
)
INSERT OVERWRITE TABLE retail_dw.ads_member_rfm PARTITION (dt = '${bizdate}')
SELECT * FROM labelled;   -- 取自本语句内的 CTE，列已固定
