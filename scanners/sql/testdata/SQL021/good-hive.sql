-- dialect: hive
SELECT id FROM dwd_order WHERE dt = '${d}' AND (state IN (1, 2) OR state IS NULL);
