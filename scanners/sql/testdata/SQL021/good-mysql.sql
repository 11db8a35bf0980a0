-- dialect: mysql
SELECT id FROM users WHERE state IN (SELECT NULL FROM states);
