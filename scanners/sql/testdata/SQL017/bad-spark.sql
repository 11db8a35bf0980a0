-- dialect: spark
CREATE TABLE IF NOT EXISTS dim_city (id INT COMMENT '编号') COMMENT '城市';
