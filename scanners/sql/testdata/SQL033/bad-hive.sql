-- dialect: hive
SELECT id FROM dim_user WHERE name LIKE '%明';
