-- dialect: mysql
DELETE FROM orders WHERE user_id NOT IN (SELECT id FROM users);
