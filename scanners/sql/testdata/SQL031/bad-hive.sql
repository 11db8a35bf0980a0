-- dialect: hive
SELECT a.id FROM dwd_order a JOIN dim_user b ON cast(a.user_id AS STRING) = b.user_id WHERE a.dt = '${d}';
