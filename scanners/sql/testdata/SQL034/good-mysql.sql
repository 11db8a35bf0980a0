-- dialect: mysql
CREATE USER 'etl'@'%' IDENTIFIED BY '${etl_password}';
