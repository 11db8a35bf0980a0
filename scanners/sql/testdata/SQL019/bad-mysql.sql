-- dialect: mysql
UPDATE users SET state = NULL WHERE state <> NULL;
