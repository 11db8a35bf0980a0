-- 目标表   : retail_dw.ads_store_rank_topn（门店销售排行，前 ${topn} 名）
-- 来源     : dws_trade_store_1d, dim_store_df
-- 调度     : 每日 04:00
INSERT OVERWRITE TABLE retail_dw.ads_store_rank_topn PARTITION (dt = '${bizdate}')
SELECT  r.rank_no, r.store_code, r.store_name, r.sale_amt
FROM   (SELECT  t.store_code,
                m.store_name,
                t.sale_amt,
                ROW_NUMBER() OVER (ORDER BY t.sale_amt DESC, t.store_code) AS rank_no
        FROM    retail_dw.dws_trade_store_1d t
        JOIN   (SELECT * FROM retail_dw.dim_store_df WHERE dt = '${bizdate}' AND is_open = 1) m
          ON    m.store_code = t.store_code
        WHERE   t.dt = '${bizdate}') r
WHERE   r.rank_no <= ${topn};
