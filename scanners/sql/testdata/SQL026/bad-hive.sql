-- dialect: hive
SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM dim_a) b) c) d) e;
