-- dialect: mysql
CREATE USER 'etl'@'%' IDENTIFIED BY 'Passw0rd!';
