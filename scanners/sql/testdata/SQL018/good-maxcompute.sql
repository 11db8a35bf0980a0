-- dialect: maxcompute
CREATE TABLE IF NOT EXISTS dim_city (id BIGINT COMMENT '编号') COMMENT '城市' LIFECYCLE 30;
