-- dialect: hive
SELECT id FROM dim_a UNION SELECT id FROM dim_b;
