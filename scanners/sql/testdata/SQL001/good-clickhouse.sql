-- dialect: clickhouse
SELECT count(*) AS n, sum(price * qty) AS amount FROM dwd.events;
