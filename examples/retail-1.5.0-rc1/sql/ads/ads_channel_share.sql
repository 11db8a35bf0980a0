-- 目标表   : retail_dw.ads_channel_share（渠道销售占比）
-- 来源     : dwd_trade_order_detail_di
-- 调度     : 每日 04:00
INSERT OVERWRITE TABLE retail_dw.ads_channel_share PARTITION (dt = '${bizdate}')
SELECT  channel_code,
        sale_amt,
        ROUND(sale_amt / SUM(sale_amt) OVER (), 4) AS share_rate
FROM   (SELECT   channel_code, SUM(item_amt - discount_amt) AS sale_amt
        FROM     retail_dw.dwd_trade_order_detail_di
        WHERE    dt = '${bizdate}'
          AND    channel_code <> NULL
        GROUP BY channel_code) c;
