-- dialect: spark
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）',
  dt STRING COMMENT '分区'
) COMMENT '订单明细'
USING parquet PARTITIONED BY (dt);
WITH o AS (SELECT order_id FROM dwd_order)
SELECT order_id FROM o WHERE order_id > 'a';
