-- dialect: hive
INSERT OVERWRITE TABLE ads_report PARTITION (dt = '${d}') SELECT o.id FROM dws_order o JOIN dim_user u ON o.user_id = u.id WHERE o.dt = '${d}';
INSERT OVERWRITE TABLE dwd_order PARTITION (dt = '${d}') SELECT o.id FROM ods_order o WHERE o.dt = '${d}';
