CREATE TABLE IF NOT EXISTS dws_user_day (uid BIGINT, dt DATE)
DUPLICATE KEY(uid) PARTITION BY RANGE(dt) () DISTRIBUTED BY HASH(uid) BUCKETS 8
PROPERTIES ("replication_num" = "3");
CREATE CATALOG hive_prod PROPERTIES ("type" = "hms", "s3.access_key" = "AbCdEf123456", "s3.secret_key" = "${sk}");
DELETE FROM dws_user_day PARTITION p202401 WHERE uid = 1;
INSERT INTO dws_user_day SELECT uid, dt FROM dwd_login;
