--@exclude_input=ods_x
SET odps.sql.allow.fullscan=true;
@base := SELECT user_id, amount FROM dwd_order WHERE ds = '${bizdate}';
INSERT OVERWRITE TABLE ads_report PARTITION (ds = '${bizdate}')
SELECT user_id, SUM(amount * ${rate}) FROM @base GROUP BY user_id
UNION
SELECT user_id, 0 FROM dim_user WHERE ds = MAX_PT('dim_user') AND name NOT IN ('a', NULL);
