-- dialect: hive
CREATE TABLE IF NOT EXISTS dwd_order (
  order_id STRING COMMENT '订单号',
  amount DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单明细'
PARTITIONED BY (dt STRING) STORED AS ORC;
INSERT OVERWRITE TABLE dwd_order PARTITION (dt = '${bizdate}') SELECT order_id, amount FROM ods_order WHERE dt = '${bizdate}';
CREATE TABLE IF NOT EXISTS dim_city (id INT COMMENT '编号') COMMENT '城市' STORED AS ORC;
INSERT OVERWRITE TABLE dim_city SELECT id FROM ods_city;
INSERT OVERWRITE DIRECTORY '/out' SELECT id FROM ods_city;
