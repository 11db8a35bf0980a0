-- dialect: postgresql
SELECT a.id FROM orders a LEFT OUTER JOIN users b ON a.user_id = b.id WHERE coalesce(b.state, 1) IN (1, 2);
