-- dialect: hive
SELECT id FROM dim_a UNION ALL SELECT id FROM dim_b UNION DISTINCT SELECT id FROM dim_c;
