-- dialect: hive
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) STORED AS ORC;
SELECT order_id FROM dwd_order WHERE dt = '$(yyyyMMdd)';
SELECT x.order_id FROM (SELECT order_id, dt FROM dwd_order) x WHERE x.dt >= '${start}';
SELECT max(dt) AS dt FROM dwd_order;
