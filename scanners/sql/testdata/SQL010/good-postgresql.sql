-- dialect: postgresql
DROP MATERIALIZED VIEW IF EXISTS sales;
