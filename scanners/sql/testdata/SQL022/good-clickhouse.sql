-- dialect: clickhouse
CREATE MATERIALIZED VIEW IF NOT EXISTS ads.daily ENGINE = SummingMergeTree PARTITION BY toYYYYMM(day) ORDER BY (day, id) AS SELECT day, id, count() AS n FROM events GROUP BY day, id;
SELECT id FROM events ORDER BY id LIMIT 10;
