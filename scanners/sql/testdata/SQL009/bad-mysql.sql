-- dialect: mysql
INSERT INTO users VALUES (1, 'a');
