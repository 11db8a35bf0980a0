-- dialect: hive
SELECT id FROM dwd_order WHERE dt = '20240101';
INSERT OVERWRITE TABLE dws_order PARTITION (dt = '20240101') SELECT id FROM dwd_order WHERE dt = '${d}';
