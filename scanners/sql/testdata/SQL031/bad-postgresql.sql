-- dialect: postgresql
SELECT a.id FROM orders a JOIN users b ON a.user_id::text = b.id;
