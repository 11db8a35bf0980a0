-- ============================================================
-- 功能描述 : 渠道销售占比建表（RT-431）
-- 创建人   : wang_fang        创建日期 : 2026-03-30
-- ============================================================
CREATE TABLE IF NOT EXISTS retail_dw.ads_channel_share (
    channel_code    STRING          COMMENT '渠道：POS/APP/MINI',
    sale_amt        DECIMAL(18,2)   COMMENT '销售金额（元）',
    share_rate      DECIMAL(9,4)    COMMENT '占全渠道比例'
)
COMMENT '渠道销售占比'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;
