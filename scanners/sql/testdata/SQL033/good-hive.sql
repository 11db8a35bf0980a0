-- dialect: hive
SELECT id FROM dim_user WHERE name LIKE '张%';
SHOW TABLES LIKE '%user%';
