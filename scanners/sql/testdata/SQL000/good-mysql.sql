-- dialect: mysql
SELECT count(id) AS n FROM orders; # it's fine
