-- dialect: mysql
INSERT INTO users (id) VALUES (1);
INSERT INTO users SET id = 1;
