-- dialect: mysql
SELECT `（id）` FROM users;
