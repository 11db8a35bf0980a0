-- dialect: mysql
INSERT INTO top_users (id) SELECT x.id FROM (SELECT id FROM users LIMIT 10) x;
