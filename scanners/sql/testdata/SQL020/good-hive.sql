-- dialect: hive
SELECT o.id FROM dwd_order o LEFT ANTI JOIN dim_user u ON o.user_id = u.id WHERE o.dt = '${d}';
SELECT o.id FROM dwd_order o WHERE o.dt = '${d}' AND o.state NOT IN (1, 2);
