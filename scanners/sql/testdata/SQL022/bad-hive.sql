-- dialect: hive
INSERT OVERWRITE TABLE dws_sale PARTITION (dt = '${d}') SELECT id, amount FROM dwd_sale WHERE dt = '${d}' ORDER BY amount;
