-- dialect: clickhouse
ALTER TABLE dwd.events ON CLUSTER main ADD COLUMN IF NOT EXISTS memo String;
ALTER TABLE dwd.events DELETE WHERE id = 1;
