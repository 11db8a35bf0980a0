-- dialect: mysql
CREATE TABLE IF NOT EXISTS `users` (`id` BIGINT COMMENT '编号') COMMENT='用户';
