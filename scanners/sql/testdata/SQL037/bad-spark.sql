-- dialect: spark
SELECT id FROM dim_a a JOIN dim_b b ON a.id = b.id;
