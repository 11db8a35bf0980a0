-- dialect: hive
SET fs.s3a.secret.key=AbCdEf123456;
SELECT 'jdbc:mysql://h/d?user=u&password=Pa55w0rd' AS url FROM dim_a;
