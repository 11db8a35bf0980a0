-- dialect: postgresql
SELECT o.id FROM orders o, users u WHERE o.state = 1 AND u.state = 1;
