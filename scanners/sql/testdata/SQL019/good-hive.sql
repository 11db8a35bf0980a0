-- dialect: hive
SELECT id FROM ods_order WHERE dt = '${d}' AND memo IS NULL AND a <=> NULL;
