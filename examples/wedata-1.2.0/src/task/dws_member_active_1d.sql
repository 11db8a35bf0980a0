-- 会员活跃日汇总
INSERT OVERWRITE TABLE dws.dws_member_active_1d PARTITION (dt = '${yyyyMMdd-1d}')
SELECT
    member_id,
    COUNT(1) AS login_cnt
FROM dwd.dwd_member_login_di
WHERE dt = '${yyyyMMdd-1d}'
GROUP BY member_id;
