-- dialect: clickhouse
SELECT id FROM events PREWHERE memo != NULL;
