-- dialect: mysql
DROP PROCEDURE IF EXISTS purge;
DROP INDEX i ON users;
