-- dialect: hive
SET hive.exec.dynamic.partition.mode=nonstrict;
INSERT OVERWRITE TABLE dwd_order PARTITION (dt, hour) SELECT id, dt, hour FROM ods_order WHERE dt >= '${bizdate}';
