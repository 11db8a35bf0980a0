-- dialect: hive
SELECT id FROM dwd_order WHERE dt = '${d}' AND state NOT IN (1, NULL);
