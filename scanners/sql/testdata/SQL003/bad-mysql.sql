-- dialect: mysql
SELECT o.id FROM orders o JOIN users u;
