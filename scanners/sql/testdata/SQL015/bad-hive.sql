-- dialect: hive
CREATE TABLE IF NOT EXISTS order_detail (id INT COMMENT '编号') COMMENT '订单' STORED AS ORC;
