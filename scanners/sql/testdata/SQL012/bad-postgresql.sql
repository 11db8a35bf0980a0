-- dialect: postgresql
TRUNCATE orders;
DROP TABLE IF EXISTS orders CASCADE;
