-- dialect: mysql
DELETE FROM orders WHERE created < now() - INTERVAL 90 DAY;
UPDATE orders o JOIN users u ON o.user_id = u.id SET o.memo = u.memo;
INSERT INTO users (id, name) VALUES (1, 'a') ON DUPLICATE KEY UPDATE name = 'a';
