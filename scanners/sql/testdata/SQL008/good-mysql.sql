-- dialect: mysql
INSERT INTO users (id, name) VALUES (1, concat('a', 'b')), (2, (SELECT max(name) FROM names));
