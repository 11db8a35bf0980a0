-- dialect: hive
SELECT regexp_replace(memo, '[\'"]', '') AS m, 'never closed FROM dwd_order;
