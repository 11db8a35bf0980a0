-- dialect: mysql
DELETE FROM orders;
UPDATE users SET state = NULL;
UPDATE orders o LEFT JOIN users u ON o.user_id = u.id SET o.memo = u.memo;
