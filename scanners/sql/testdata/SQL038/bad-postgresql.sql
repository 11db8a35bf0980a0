-- dialect: postgresql
SELECT a.id FROM orders a LEFT OUTER JOIN users b ON a.user_id = b.id WHERE b.state IN (1, 2);
