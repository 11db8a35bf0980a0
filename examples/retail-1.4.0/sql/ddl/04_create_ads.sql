-- ============================================================
-- 功能描述 : 应用层建表（供报表平台读取）
-- 创建人   : li_na            创建日期 : 2025-11-10
-- ============================================================
CREATE TABLE IF NOT EXISTS retail_dw.ads_sales_daily_report (
    stat_date       STRING          COMMENT '统计日期 yyyyMMdd',
    region_name     STRING          COMMENT '大区；合计行为“全国”',
    order_cnt       BIGINT          COMMENT '订单数',
    sale_amt        DECIMAL(18,2)   COMMENT '销售金额（元）',
    refund_rate     DECIMAL(9,4)    COMMENT '退款率'
)
COMMENT '销售日报'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.ads_member_rfm (
    member_id       STRING          COMMENT '会员编号',
    recency_days    INT             COMMENT '距最近一次消费天数',
    frequency       BIGINT          COMMENT '近 90 天消费次数',
    monetary        DECIMAL(18,2)   COMMENT '近 90 天消费金额（元）',
    rfm_label       STRING          COMMENT '人群：重要价值/重要唤回/一般/流失'
)
COMMENT '会员 RFM 分层'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.ads_store_rank_topn (
    rank_no         INT             COMMENT '名次',
    store_code      STRING          COMMENT '门店编码',
    store_name      STRING          COMMENT '门店名称',
    sale_amt        DECIMAL(18,2)   COMMENT '销售金额（元）'
)
COMMENT '门店销售排行'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;
