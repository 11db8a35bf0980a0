-- dialect: hive
INSERT OVERWRITE TABLE dws_top PARTITION (dt = '${d}') SELECT id FROM dwd_sale WHERE dt = '${d}' LIMIT 100;
