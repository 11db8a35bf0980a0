-- dialect: hive
SELECT o.id FROM dwd_order o WHERE o.dt = '${d}' AND o.user_id NOT IN (SELECT u.id FROM dim_user u);
