-- dialect: clickhouse
ALTER TABLE dwd.events ON CLUSTER main UPDATE memo = '' WHERE id = 1;
ALTER TABLE dwd.events ON CLUSTER main DROP COLUMN memo;
