-- dialect: mysql
CREATE TABLE IF NOT EXISTS users (id BIGINT COMMENT '编号', PRIMARY KEY (id)) ENGINE=InnoDB;
