-- dialect: maxcompute
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) LIFECYCLE 365;
SELECT order_id FROM dwd_order WHERE dt = MAX_PT('dwd_order');
