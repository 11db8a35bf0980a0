-- dialect: postgresql
SELECT id FROM orders WHERE order_date >= now() - interval '7 days';
