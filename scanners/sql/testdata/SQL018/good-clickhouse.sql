-- dialect: clickhouse
CREATE TABLE IF NOT EXISTS ads.events (id UInt64 COMMENT '编号') ENGINE = MergeTree ORDER BY id TTL day + INTERVAL 90 DAY COMMENT '事件';
CREATE TABLE IF NOT EXISTS ads.events_all (id UInt64 COMMENT '编号') ENGINE = Distributed(c, ads, events) COMMENT '事件';
