-- dialect: hive
SELECT a.id, b.name AS user_name FROM dwd_order a JOIN dim_user b ON a.user_id = b.user_id WHERE a.dt = '${d}' AND b.state = 1;
