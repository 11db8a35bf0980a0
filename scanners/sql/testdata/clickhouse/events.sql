CREATE TABLE IF NOT EXISTS dwd.events ON CLUSTER main (id UInt64, tags Array(String))
ENGINE = MergeTree PARTITION BY toYYYYMM(ts) ORDER BY (id, ts) SETTINGS index_granularity = 8192;
ALTER TABLE dwd.events DELETE WHERE id = 1;
ALTER TABLE dwd.events DROP PARTITION '202401';
INSERT INTO dwd.events FORMAT JSONEachRow;
SELECT arrayMap(x -> x * 2, tags), count(*) FROM dwd.events PREWHERE id = NULL GROUP BY tags;
SELECT id FROM s3('https://bucket/x.csv', 'LTAI5tAbCdEfGh1234567890', '${secret}') LIMIT 10;
TRUNCATE TABLE IF EXISTS dwd.events;
CREATE TABLE IF NOT EXISTS ods.orders (id UInt64, amount Decimal(18, 2)) ENGINE = MySQL('mysql-1:3306', 'shop', 'orders', 'reader', 'Pa55w0rd');
INSERT INTO ods.users (id) SELECT id FROM postgresql('pg-1:5432', 'shop', 'users', 'reader', '${pg_password}');
