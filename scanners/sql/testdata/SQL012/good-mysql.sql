-- dialect: mysql
SELECT TRUNCATE(a, 2) AS a FROM users;
