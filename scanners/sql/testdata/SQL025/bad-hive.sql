-- dialect: hive
SELECT id, name FROM dim_a UNION ALL SELECT id FROM dim_b;
