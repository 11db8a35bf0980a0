-- 会员登录明细，每日增量
INSERT OVERWRITE TABLE dwd.dwd_member_login_di PARTITION (dt = '${yyyyMMdd-1d}')
SELECT
    member_id,
    login_time,
    device_id
FROM ods.ods_member_login_di
WHERE dt = '${yyyyMMdd-1d}'
  AND channel = '${channel}'
  AND env = '${env}';
