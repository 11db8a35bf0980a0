-- dialect: postgresql
/* outer /* inner */ it's closed */
SELECT 'c:\' AS p, id FROM orders;
