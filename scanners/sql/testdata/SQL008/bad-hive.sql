-- dialect: hive
INSERT INTO dwd_order PARTITION (dt = '${d}') (order_id, amount) SELECT order_id FROM ods_order WHERE dt = '${d}';
