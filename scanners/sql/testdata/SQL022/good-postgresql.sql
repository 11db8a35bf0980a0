-- dialect: postgresql
SELECT id FROM users ORDER BY id FETCH FIRST 5 ROWS ONLY;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS p FROM orders;
