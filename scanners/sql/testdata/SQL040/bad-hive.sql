-- dialect: hive
INSERT OVERWRITE TABLE dim_user SELECT a.id FROM dim_user a UNION ALL SELECT b.id FROM ods_user b;
