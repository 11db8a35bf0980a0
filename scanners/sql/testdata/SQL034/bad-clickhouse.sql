-- dialect: clickhouse
SELECT id FROM mysql('h:3306', 'db', 't', 'reader', 'Pa55w0rd');
