-- dialect: mysql
SELECT ((((((1)))))) AS x FROM t WHERE a IN (SELECT a FROM u);
