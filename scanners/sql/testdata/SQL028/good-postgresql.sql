-- dialect: postgresql
SELECT a.id FROM t0 a LEFT JOIN t1 b ON a.id = b.id;
