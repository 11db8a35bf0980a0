-- dialect: mysql
INSERT INTO top_users (id) SELECT max(id) FROM users LIMIT 1;
