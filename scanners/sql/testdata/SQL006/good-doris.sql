-- dialect: doris
CREATE TABLE IF NOT EXISTS ads_sale (id BIGINT COMMENT '编号', dt DATE COMMENT '日期') DUPLICATE KEY(id) COMMENT '销售' PARTITION BY RANGE(dt) () DISTRIBUTED BY HASH(id) BUCKETS 4 PROPERTIES ("dynamic_partition.start" = "-30");
INSERT OVERWRITE TABLE ads_sale PARTITION (p1) SELECT id, dt FROM dws_sale;
