# it's a comment
DROP PROCEDURE IF EXISTS purge;
DELIMITER //
CREATE DEFINER=`etl`@`%` PROCEDURE purge(IN days INT)
BEGIN
  DECLARE done INT DEFAULT 0;
  DECLARE c CURSOR FOR SELECT id FROM orders WHERE state = 'old';
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;
  SET @n = NULL;
  IF days > 0 THEN
    DELETE FROM orders WHERE created < NOW() - INTERVAL days DAY;
    UPDATE counters SET purged = NULL;
  ELSE
    DELETE FROM orders;
  END IF;
END //
CREATE TRIGGER orders_bu BEFORE UPDATE ON orders FOR EACH ROW SET NEW.memo = NULL //
DELIMITER ;

CREATE TABLE `orders` (
  `id` BIGINT NOT NULL AUTO_INCREMENT, # it's the key
  `user_id` BIGINT,
  `updated` TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`id`),
  CONSTRAINT `fk` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE ON UPDATE SET NULL
) ENGINE=InnoDB COMMENT 'it\'s';

/*!40101 SET NAMES utf8mb4 */;
INSERT INTO orders (id, user_id) VALUES (1, NULL) ON DUPLICATE KEY UPDATE user_id = NULL;
INSERT IGNORE INTO orders VALUES (1, 2, NOW());
UPDATE orders o JOIN users u ON o.user_id = u.id SET o.memo = NULL WHERE u.gone = 1;
SELECT id FROM orders WHERE user_id IN (NULL) OR user_id <=> NULL FOR UPDATE;
GRANT SELECT, UPDATE, DELETE ON shop.* TO 'etl'@'%';
CREATE USER 'etl'@'%' IDENTIFIED BY 'Passw0rd!';
SHOW TABLES LIKE '%order%';
UPDATE orders o JOIN users u ON o.user_id = u.id SET o.memo = u.memo;
DELETE o FROM orders o JOIN users u USING (user_id);
DELETE o FROM orders o LEFT JOIN users u ON o.user_id = u.id;
UPDATE orders, users SET orders.memo = users.memo;
SET @password = 'Passw0rd!';
