-- dialect: hive
SELECT a.id FROM dwd_order a LEFT JOIN dim_user b ON a.user_id = b.user_id WHERE a.dt = '${d}' AND coalesce(a.state, 0) = 0;
