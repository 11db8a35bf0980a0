-- dialect: postgresql
SELECT id FROM users WHERE name ILIKE 'a%';
