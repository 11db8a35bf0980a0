-- dialect: mysql
SELECT count(id FROM orders;
SELECT id FROM orders;
