-- dialect: hive
WITH b AS (SELECT a FROM dim_a), c AS (SELECT a FROM b), d AS (SELECT a FROM c), e AS (SELECT a FROM d)
SELECT a FROM (SELECT a FROM e) f;
