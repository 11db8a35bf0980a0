-- 目标表 : risk_dw.dwd_risk_login_di（登录事件明细）
-- 来源   : ods_risk_event_di
INSERT OVERWRITE TABLE risk_dw.dwd_risk_login_di PARTITION (dt = '${bizdate}')
SELECT event_id,
       user_id，
       device_id,
       CASE WHEN device_id IN ('unknown', NULL) THEN '异常设备' ELSE '正常' END AS device_flag,
       event_time
FROM   risk_dw.ods_risk_event_di
WHERE  dt = '${bizdate}'
  AND  event_type = 'LOGIN';
