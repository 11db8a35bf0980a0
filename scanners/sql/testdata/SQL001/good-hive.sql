-- dialect: hive
WITH o AS (SELECT order_id, amount FROM dwd_order WHERE dt = '${bizdate}')
SELECT * FROM o WHERE EXISTS (SELECT * FROM dim_user u WHERE u.user_id = o.order_id);
