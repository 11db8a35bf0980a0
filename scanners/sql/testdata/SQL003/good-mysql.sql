-- dialect: mysql
SELECT o.id FROM orders o JOIN users u WHERE o.user_id = u.id;
SELECT o.id FROM orders o STRAIGHT_JOIN users u ON o.user_id = u.id;
