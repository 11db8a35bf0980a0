-- dialect: spark
INSERT OVERWRITE TABLE dwd_order PARTITION (dt) SELECT id, dt FROM ods_order WHERE dt >= '${bizdate}';
