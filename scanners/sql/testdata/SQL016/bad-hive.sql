-- dialect: hive
INSERT OVERWRITE TABLE ads_report PARTITION (dt = '${d}') SELECT o.id FROM ods_order o WHERE o.dt = '${d}';
INSERT OVERWRITE TABLE ods_order PARTITION (dt = '${d}') SELECT d.id FROM dws_order d WHERE d.dt = '${d}';
