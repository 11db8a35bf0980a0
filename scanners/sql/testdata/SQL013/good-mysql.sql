-- dialect: mysql
CREATE TABLE IF NOT EXISTS users (id BIGINT COMMENT '编号', KEY k (id)) ENGINE=InnoDB COMMENT='用户';
