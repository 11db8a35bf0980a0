-- dialect: postgresql
SELECT id FROM orders WHERE user_id NOT IN (SELECT id FROM users WHERE gone);
