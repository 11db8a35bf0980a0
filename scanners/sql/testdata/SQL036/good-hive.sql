-- dialect: hive
SELECT id FROM dim_user;
