-- dialect: clickhouse
CREATE TABLE IF NOT EXISTS ads.events (id UInt64 COMMENT '编号') ENGINE = Log COMMENT '事件';
