-- dialect: clickhouse
SELECT id FROM events ORDER BY id;
