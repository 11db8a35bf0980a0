-- dialect: hive
INSERT OVERWRITE TABLE dim_user PARTITION (dt = '${d}') SELECT a.id FROM dim_user a WHERE a.dt = '${y}';
