-- dialect: hive
INSERT OVERWRITE TABLE dwd_order PARTITION (dt = '${d}') SELECT id FROM ods_order WHERE dt = '${d}';
