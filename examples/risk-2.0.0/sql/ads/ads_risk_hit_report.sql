-- 目标表 : risk_dw.ads_risk_hit_report（规则命中日报）
-- 来源   : dws_risk_user_1d
INSERT OVERWRITE TABLE risk_dw.ads_risk_hit_report PARTITION (dt = '${bizdate}')
SELECT 'R001 同日多设备' AS rule_name, COUNT(1) AS hit_cnt
FROM   risk_dw.dws_risk_user_1d
WHERE  dt = '${bizdate}' AND device_cnt >= 3
UNION ALL
SELECT 'R002 大额支付' AS rule_name, COUNT(1) AS hit_cnt
FROM   risk_dw.dws_risk_user_1d
WHERE  dt = '${bizdate}' AND max_pay_amt >= 50000;
