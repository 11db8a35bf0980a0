-- dialect: mysql
TRUNCATE TABLE users;
