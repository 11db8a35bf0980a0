-- dialect: clickhouse
SELECT a.id FROM events a CROSS JOIN users b;
