-- dialect: hive
ALTER TABLE dwd_order ADD IF NOT EXISTS PARTITION (dt = '${d}');
ALTER TABLE dwd_order ADD COLUMNS (memo STRING) CASCADE;
