-- dialect: clickhouse
CREATE TABLE IF NOT EXISTS ads.events (id UInt64 COMMENT '编号') ENGINE = ReplacingMergeTree ORDER BY id COMMENT '事件';
