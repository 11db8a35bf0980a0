-- 说明：全部合规，不应有任何发现
CREATE TABLE IF NOT EXISTS ods_order (id BIGINT COMMENT '主键', password STRING COMMENT '密文') COMMENT '订单' PARTITIONED BY (dt STRING) STORED AS ORC;
INSERT OVERWRITE TABLE ods_order PARTITION (dt = '${yyyyMMdd-1d}')
SELECT id, sha2(password, 256) AS password
FROM src_order t
WHERE EXISTS (SELECT * FROM src_pay p WHERE p.id = t.id) AND t.price * t.qty > 0 AND t.gone IS NULL;
MERGE INTO dim_user t USING stg_user s ON t.id = s.id
WHEN MATCHED AND s.op = 'D' THEN DELETE
WHEN MATCHED THEN UPDATE SET name = s.name, memo = NULL
WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name);
