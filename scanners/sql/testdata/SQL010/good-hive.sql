-- dialect: hive
DROP TABLE IF EXISTS tmp_order;
