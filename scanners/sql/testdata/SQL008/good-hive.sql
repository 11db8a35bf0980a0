-- dialect: hive
SET hive.exec.dynamic.partition.mode=nonstrict;
INSERT INTO dwd_order PARTITION (dt) (order_id, amount) SELECT order_id, amount, dt FROM ods_order WHERE dt = '${d}';
INSERT INTO dwd_order (k, v) SELECT explode(props) AS (k, v) FROM ods_order WHERE dt = '${d}';
