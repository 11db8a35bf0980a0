-- dialect: doris
CREATE TABLE IF NOT EXISTS ads_sale (id BIGINT COMMENT '编号') DUPLICATE KEY(id) COMMENT "销售" DISTRIBUTED BY HASH(id) BUCKETS 4 PROPERTIES ("replication_num" = "3");
