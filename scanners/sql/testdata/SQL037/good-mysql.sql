-- dialect: mysql
CREATE TABLE IF NOT EXISTS orders (id BIGINT COMMENT 'i', user_id BIGINT COMMENT 'u') COMMENT='o';
CREATE TABLE IF NOT EXISTS users (uid BIGINT COMMENT 'i', state INT COMMENT 's') COMMENT='u';
SELECT o.id, state FROM orders o JOIN users u ON o.user_id = u.uid WHERE state = 1;
