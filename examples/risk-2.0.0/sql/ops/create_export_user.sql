-- 报表库只读账号（MySQL）
CREATE USER IF NOT EXISTS 'risk_ro'@'10.8.%' IDENTIFIED BY 'Fx7#kq2Lm9';
GRANT SELECT ON risk_rpt.* TO 'risk_ro'@'10.8.%';
DROP TABLE risk_rpt.hit_report_2025;
