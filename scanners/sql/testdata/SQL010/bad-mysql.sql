-- dialect: mysql
DROP PROCEDURE purge;
