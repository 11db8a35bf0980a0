-- dialect: hive
DROP DATABASE IF EXISTS dwd;
ALTER TABLE dwd_order DROP IF EXISTS PARTITION (dt < '${d}');
