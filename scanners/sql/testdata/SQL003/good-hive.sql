-- dialect: hive
SELECT a.order_id, b.name, c.city
FROM dwd_order a, dim_user b, dim_city c
WHERE a.user_id = b.user_id AND b.city_id = c.city_id AND a.dt = '${bizdate}';
SELECT a.order_id, k, v FROM dwd_order a LATERAL VIEW explode(a.props) e AS k, v WHERE a.dt = '${bizdate}';
SELECT a.order_id FROM dwd_order a CROSS JOIN (SELECT max(dt) AS dt FROM dim_user) m WHERE a.dt = m.dt;
