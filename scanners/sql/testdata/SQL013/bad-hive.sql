-- dialect: hive
CREATE TABLE IF NOT EXISTS dim_city (id INT COMMENT '编号') STORED AS ORC;
