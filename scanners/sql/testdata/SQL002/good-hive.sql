-- dialect: hive
DELETE FROM dim_user WHERE dt = '${bizdate}';
DELETE FROM dim_user ${condition};
