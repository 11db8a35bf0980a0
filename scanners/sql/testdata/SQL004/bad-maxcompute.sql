-- dialect: maxcompute
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) LIFECYCLE 365;
SELECT a.order_id FROM dwd_order a JOIN dim_user b ON a.order_id = b.id AND b.ds = '${bizdate}';
