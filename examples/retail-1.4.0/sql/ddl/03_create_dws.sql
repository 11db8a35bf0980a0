-- ============================================================
-- 功能描述 : 汇总层建表
-- 创建人   : li_na            创建日期 : 2025-11-10
-- ============================================================
CREATE TABLE IF NOT EXISTS retail_dw.dws_trade_store_1d (
    store_code      STRING          COMMENT '门店编码',
    order_cnt       BIGINT          COMMENT '订单数',
    member_cnt      BIGINT          COMMENT '购买会员数',
    sale_amt        DECIMAL(18,2)   COMMENT '销售金额（元）',
    refund_amt      DECIMAL(18,2)   COMMENT '退款金额（元）'
)
COMMENT '门店交易_日汇总'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.dws_trade_member_nd (
    member_id       STRING          COMMENT '会员编号',
    last_pay_date   STRING          COMMENT '最近支付日期 yyyyMMdd',
    order_cnt_90d   BIGINT          COMMENT '近 90 天订单数',
    sale_amt_90d    DECIMAL(18,2)   COMMENT '近 90 天消费金额（元）'
)
COMMENT '会员交易_近 N 天汇总'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.dws_product_sale_1d (
    sku_code        STRING          COMMENT '商品编码',
    cate1_name      STRING          COMMENT '一级品类',
    store_cnt       BIGINT          COMMENT '动销门店数',
    quantity        DECIMAL(18,3)   COMMENT '销量',
    sale_amt        DECIMAL(18,2)   COMMENT '销售金额（元）'
)
COMMENT '商品销售_日汇总'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;
