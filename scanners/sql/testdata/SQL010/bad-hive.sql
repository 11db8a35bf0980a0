-- dialect: hive
DROP TABLE tmp_order;
DROP VIEW v_order;
