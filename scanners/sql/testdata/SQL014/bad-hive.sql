-- dialect: hive
CREATE TABLE IF NOT EXISTS dim_city (id INT COMMENT '编号', name STRING, pid INT) COMMENT '城市' STORED AS ORC;
