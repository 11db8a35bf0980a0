-- dialect: hive
SELECT /*+ MAPJOIN(b) */ a.*, b.name FROM dwd_order a JOIN dim_user b ON a.user_id = b.user_id WHERE a.dt = '${bizdate}';
