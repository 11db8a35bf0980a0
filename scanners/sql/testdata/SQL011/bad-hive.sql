-- dialect: hive
CREATE TABLE dim_city (id INT COMMENT '编号') COMMENT '城市' STORED AS ORC;
