-- dialect: clickhouse
INSERT INTO dwd.events VALUES (1, 'a');
