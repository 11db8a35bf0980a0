-- 目标表 : risk_dw.dws_risk_user_1d（用户风险特征_日汇总）
-- 来源   : dwd_risk_login_di, dwd_risk_pay_di
INSERT OVERWRITE TABLE risk_dw.dws_risk_user_1d PARTITION (dt = '${bizdate}')
SELECT   l.user_id,
         COUNT(1)                    AS login_cnt,
         COUNT(DISTINCT l.device_id) AS device_cnt,
         MAX(p.pay_amt)              AS max_pay_amt
FROM     risk_dw.dwd_risk_login_di l
LEFT JOIN risk_dw.dwd_risk_pay_di p
  ON     p.user_id = l.user_id AND p.dt = '${bizdate}'
WHERE    l.dt = '${bizdate}'
  AND    l.device_flag = '正常
GROUP BY l.user_id;
