-- dialect: hive
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) STORED AS ORC;
INSERT OVERWRITE TABLE dwd_order SELECT order_id, amount, dt FROM ods_order WHERE dt = '${bizdate}';
INSERT OVERWRITE TABLE dwd_elsewhere SELECT id FROM ods_order WHERE dt = '${bizdate}';
