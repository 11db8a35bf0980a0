-- 目标表：ods_mkt_coupon_di（优惠券流水）
-- 来源：营销中台增量同步，参数 bizdate 为业务日期
ALTER TABLE ods_mkt_coupon_di ADD IF NOT EXISTS PARTITION (ds = '${bizdate}');

INSERT OVERWRITE TABLE ods_mkt_coupon_di PARTITION (ds = '${bizdate}')
SELECT  coupon_id,
        activity_id,
        user_id,
        coupon_amt,
        CASE status WHEN '1' THEN '领取' WHEN '2' THEN '核销' ELSE '过期' END AS status,
        event_time
FROM    ods_mkt_coupon_di_ext
WHERE   ds = '${bizdate}';
