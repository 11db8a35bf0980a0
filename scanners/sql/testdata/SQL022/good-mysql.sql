-- dialect: mysql
DELIMITER //
CREATE PROCEDURE walk() BEGIN DECLARE c CURSOR FOR SELECT id FROM users ORDER BY id; OPEN c; CLOSE c; END//
DELIMITER ;
SELECT group_concat(name ORDER BY name) AS names FROM users;
