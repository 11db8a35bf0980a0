-- dialect: clickhouse
INSERT INTO dwd.events FORMAT JSONEachRow;
INSERT INTO dwd.events (id) VALUES (1);
