-- dialect: mysql
CREATE TABLE `users` (`id` BIGINT COMMENT '编号') COMMENT='用户';
