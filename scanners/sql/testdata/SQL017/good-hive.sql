-- dialect: hive
CREATE TABLE IF NOT EXISTS dim_city (id INT COMMENT '编号') COMMENT '城市' ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' STORED AS TEXTFILE;
CREATE TABLE IF NOT EXISTS dim_hb (id INT COMMENT '编号') COMMENT '城市' STORED BY 'org.apache.hadoop.hive.hbase.HBaseStorageHandler';
