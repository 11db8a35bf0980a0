-- dialect: spark
SELECT a.id FROM dwd_order a JOIN dim_user b ON coalesce(a.user_id, 'none') = b.user_id WHERE a.dt = '${d}';
