-- dialect: hive
SELECT a.order_id, b.name
FROM dwd_order a, dim_user b
WHERE a.dt = '${bizdate}';
SELECT a.order_id FROM dwd_order a JOIN dim_user b ON 1 = 1;
