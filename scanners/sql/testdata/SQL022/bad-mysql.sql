-- dialect: mysql
SELECT id FROM users UNION ALL SELECT id FROM guests ORDER BY id;
