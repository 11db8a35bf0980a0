-- 目标表：dwd_mkt_coupon_use_di（优惠券核销明细）
-- 口径：同一张券多次回传时，取最早一次核销；面额为空的视为测试券，剔除
INSERT OVERWRITE TABLE dwd_mkt_coupon_use_di PARTITION (ds = '${bizdate}')
SELECT  coupon_id, activity_id, user_id, coupon_amt, event_time AS use_time
FROM   (SELECT  coupon_id, activity_id, user_id, coupon_amt, event_time,
                ROW_NUMBER() OVER (PARTITION BY coupon_id ORDER BY event_time) AS rn
        FROM    ods_mkt_coupon_di
        WHERE   ds = '${bizdate}'
          AND   status = '核销'
          AND   coupon_amt IS NOT NULL) t
WHERE   rn = 1;
