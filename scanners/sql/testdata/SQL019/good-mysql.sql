-- dialect: mysql
UPDATE users SET state = NULL WHERE id = 1;
SET @x = NULL;
