-- dialect: hive
SELECT a.id FROM dwd_order a LEFT JOIN dim_user b ON nvl(a.user_id, -1) = b.user_id WHERE a.dt = '${d}';
