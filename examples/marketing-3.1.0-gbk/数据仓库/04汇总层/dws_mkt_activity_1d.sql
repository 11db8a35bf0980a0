-- 目标表：dws_mkt_activity_1d（活动效果_日汇总）
INSERT OVERWRITE TABLE dws_mkt_activity_1d PARTITION (ds = '${bizdate}')
SELECT   activity_id,
         COUNT(1)                AS use_cnt,
         COUNT(DISTINCT user_id) AS user_cnt,
         SUM(coupon_amt)         AS use_amt
FROM     dwd_mkt_coupon_use_di
WHERE    ds = '${bizdate}'
GROUP BY activity_id;
