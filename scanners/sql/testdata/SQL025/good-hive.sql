-- dialect: hive
SELECT id, name FROM dim_a UNION ALL SELECT id, coalesce(name, 'x') AS name FROM dim_b;
