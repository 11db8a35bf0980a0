-- dialect: maxcompute
CREATE TABLE IF NOT EXISTS dim_user_info (id BIGINT COMMENT '编号') COMMENT '用户' LIFECYCLE 30;
