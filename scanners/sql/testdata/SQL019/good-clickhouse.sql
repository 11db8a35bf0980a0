-- dialect: clickhouse
SELECT id FROM events PREWHERE memo IS NOT NULL;
