-- dialect: mysql
CREATE TABLE IF NOT EXISTS users (phone VARCHAR(20) COMMENT '电话') COMMENT='用户';
SELECT u.phone FROM users u WHERE u.phone = 13800000000;
