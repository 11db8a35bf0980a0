-- dialect: mysql
SELECT id FROM users WHERE state IN (NULL);
