-- dialect: hive
SELECT a.id FROM dwd_order a LEFT JOIN dim_user b ON a.user_id = b.user_id AND b.dt = '${d}' WHERE a.dt = '${d}' AND (b.state = 1 OR b.state IS NULL);
SELECT a.id FROM dwd_order a LEFT JOIN dim_user b ON a.user_id = b.user_id WHERE a.dt = '${d}' AND b.user_id IS NULL;
