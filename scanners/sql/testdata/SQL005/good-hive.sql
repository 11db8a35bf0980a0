-- dialect: hive
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) STORED AS ORC;
SELECT order_id, substr(dt, 1, 6) AS m FROM dwd_order WHERE dt = date_format('${day}', 'yyyyMMdd');
