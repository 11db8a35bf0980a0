-- dialect: hive
SELECT id, '，；' AS name FROM dim_user; -- 说明，备注
