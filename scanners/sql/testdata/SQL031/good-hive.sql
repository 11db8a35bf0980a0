-- dialect: hive
SELECT a.id FROM dwd_order a JOIN dim_user b ON a.user_id = b.user_id AND b.name = upper('x') WHERE a.dt = '${d}';
