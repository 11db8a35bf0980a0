-- dialect: hive
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) STORED AS ORC;
CREATE TABLE IF NOT EXISTS dim_pay (pay_id BIGINT COMMENT '编号') COMMENT '支付' STORED AS ORC;
SELECT a.amount FROM dwd_order a JOIN dim_pay b ON a.order_id = b.pay_id WHERE a.dt = '${d}' AND a.order_id > 10;
