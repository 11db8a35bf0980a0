-- dialect: hive
SELECT regexp_replace(memo, '[\'"]', '') AS m FROM dwd_order WHERE dt = '${bizdate}';
