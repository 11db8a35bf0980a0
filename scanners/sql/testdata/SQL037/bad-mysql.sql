-- dialect: mysql
SELECT o.id FROM orders o JOIN users u ON o.user_id = u.id WHERE state = 1;
