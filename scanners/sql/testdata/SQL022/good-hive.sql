-- dialect: hive
INSERT OVERWRITE TABLE dws_sale PARTITION (dt = '${d}') SELECT id, row_number() OVER (PARTITION BY id ORDER BY amount) AS n FROM dwd_sale WHERE dt = '${d}' DISTRIBUTE BY id SORT BY amount;
