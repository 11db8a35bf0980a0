-- 订单明细，按天分区
set hive.exec.dynamic.partition.mode=nonstrict;
set mapreduce.map.java.opts=-Xmx1024m -XX:+UseG1GC;
ADD JAR hdfs:///udf/it's--a.jar;
DELETE JAR hdfs:///udf/old.jar;

DROP TABLE dwd.dwd_order_tmp;
DROP TABLE IF EXISTS dwd.dwd_order_${yyyyMMdd-1d};

CREATE TABLE IF NOT EXISTS dwd.dwd_order (
  order_id BIGINT COMMENT '订单号；唯一',
  amount   DECIMAL(18, 2) COMMENT '金额（元）'
) COMMENT '订单' PARTITIONED BY (dt STRING) STORED AS ORC;

INSERT OVERWRITE TABLE dwd.dwd_order PARTITION (dt = '${yyyyMMdd}')
SELECT /*+ MAPJOIN(b) */ *
FROM ods.ods_order a
LEFT JOIN ods.ods_pay b ON a.id = b.id AND b.deleted = NULL
WHERE a.dt = '$[yyyyMMdd-1]' AND a.memo RLIKE '^\'.*;' AND a.name LIKE '%测试';

FROM ods.ods_order o
INSERT INTO TABLE dwd.a SELECT o.id
INSERT OVERWRITE TABLE dwd.b SELECT o.id;

SELECT COUNT(DISTINCT a)，COUNT(DISTINCT b), COUNT(DISTINCT c) FROM dwd.dwd_order;
ALTER TABLE dwd.dwd_order DROP IF EXISTS PARTITION (dt < '$(yyyyMMdd)');
ALTER TABLE dwd.dwd_order ADD COLUMNS (memo STRING) CASCADE;
