-- dialect: hive
UPDATE dim_user SET state = 0;
