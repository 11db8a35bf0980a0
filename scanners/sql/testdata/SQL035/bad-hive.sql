-- dialect: hive
SELECT id，name FROM dim_user；
