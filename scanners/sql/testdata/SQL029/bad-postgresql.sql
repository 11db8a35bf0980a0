-- dialect: postgresql
SELECT id FROM orders WHERE order_date >= DATE '2024-01-01';
