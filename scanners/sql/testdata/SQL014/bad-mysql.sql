-- dialect: mysql
CREATE TABLE IF NOT EXISTS users (id BIGINT, KEY k (id)) COMMENT='用户';
