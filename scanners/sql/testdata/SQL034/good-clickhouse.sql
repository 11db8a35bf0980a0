-- dialect: clickhouse
SELECT id FROM mysql('h:3306', 'db', 't', 'reader', '${pw}');
