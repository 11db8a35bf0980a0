-- dialect: spark
SELECT id, x FROM dim_a JOIN dim_b USING (id);
SELECT a.id, t FROM dim_a a LATERAL VIEW explode(a.tags) e AS t;
