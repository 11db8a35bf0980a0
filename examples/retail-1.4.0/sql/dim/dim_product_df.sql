-- 目标表   : retail_dw.dim_product_df（商品维度_日全量）
-- 来源     : 主数据 mdm.sku, mdm.category
-- 调度     : 每日 01:00
INSERT OVERWRITE TABLE retail_dw.dim_product_df PARTITION (dt = '${bizdate}')
SELECT  p.sku_code,
        p.sku_name,
        c1.cate_name                    AS cate1_name,
        c2.cate_name                    AS cate2_name,
        NVL(p.brand_name, '无品牌')     AS brand_name,
        IF(p.unit = 'kg', 1, 0)         AS is_weighed
FROM    mdm.sku p
JOIN    mdm.category c2 ON c2.cate_id = p.cate_id
JOIN    mdm.category c1 ON c1.cate_id = c2.parent_id
WHERE   p.is_deleted = 0;
