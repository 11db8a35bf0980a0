-- dialect: clickhouse
SELECT * EXCEPT (memo) FROM dwd.events WHERE day = today();
