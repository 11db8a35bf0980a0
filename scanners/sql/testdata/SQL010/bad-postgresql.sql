-- dialect: postgresql
DROP MATERIALIZED VIEW sales;
