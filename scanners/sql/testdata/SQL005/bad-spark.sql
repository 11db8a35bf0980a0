-- dialect: spark
SELECT id FROM ods_login WHERE to_date(dt) >= '${day}';
