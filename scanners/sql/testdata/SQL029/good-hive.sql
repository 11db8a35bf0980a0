-- dialect: hive
SELECT id FROM dwd_order WHERE dt = '$[yyyyMMdd-1]' AND end_date = '9999-12-31' AND order_no = '20240101';
ALTER TABLE dwd_order ADD IF NOT EXISTS PARTITION (dt = '20240101');
