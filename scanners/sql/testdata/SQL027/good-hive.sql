-- dialect: hive
SELECT COUNT(DISTINCT a), COUNT(b) FROM dim_a;
