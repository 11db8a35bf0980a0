-- dialect: postgresql
SELECT "id FROM orders;
