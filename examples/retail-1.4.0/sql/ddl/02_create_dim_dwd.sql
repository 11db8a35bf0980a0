-- ============================================================
-- 功能描述 : 维度层与明细层建表
-- 创建人   : zhang_wei        创建日期 : 2025-11-03
-- ============================================================
CREATE TABLE IF NOT EXISTS retail_dw.dim_store_df (
    store_code      STRING  COMMENT '门店编码',
    store_name      STRING  COMMENT '门店名称',
    store_type      STRING  COMMENT '业态：大卖场/标超/便利店',
    city_name       STRING  COMMENT '城市',
    region_name     STRING  COMMENT '大区',
    open_date       STRING  COMMENT '开业日期',
    is_open         INT     COMMENT '是否营业：1-是, 0-否'
)
COMMENT '门店维度_日全量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.dim_product_df (
    sku_code        STRING  COMMENT '商品编码',
    sku_name        STRING  COMMENT '商品名称',
    cate1_name      STRING  COMMENT '一级品类',
    cate2_name      STRING  COMMENT '二级品类',
    brand_name      STRING  COMMENT '品牌',
    is_weighed      INT     COMMENT '是否称重：1-是, 0-否'
)
COMMENT '商品维度_日全量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.dwd_trade_order_detail_di (
    order_id        STRING          COMMENT '订单编号',
    item_no         INT             COMMENT '行号',
    member_id       STRING          COMMENT '会员编号；散客为 -1',
    store_code      STRING          COMMENT '门店编码',
    channel_code    STRING          COMMENT '渠道',
    sku_code        STRING          COMMENT '商品编码',
    quantity        DECIMAL(12,3)   COMMENT '数量',
    item_amt        DECIMAL(18,2)   COMMENT '行金额（元）',
    discount_amt    DECIMAL(18,2)   COMMENT '按行分摊的优惠金额（元）',
    pay_time        STRING          COMMENT '支付时间'
)
COMMENT '交易订单明细事实表_日增量'
PARTITIONED BY (dt STRING COMMENT '支付日期 yyyyMMdd')
STORED AS ORC
TBLPROPERTIES ('orc.compress' = 'SNAPPY');

CREATE TABLE IF NOT EXISTS retail_dw.dwd_trade_refund_di (
    refund_id       STRING          COMMENT '退款单号',
    order_id        STRING          COMMENT '原订单编号',
    member_id       STRING          COMMENT '会员编号',
    store_code      STRING          COMMENT '门店编码',
    refund_amt      DECIMAL(18,2)   COMMENT '退款金额（元）',
    reason_type     STRING          COMMENT '原因归类：质量/物流/价格/其他'
)
COMMENT '退款事实表_日增量'
PARTITIONED BY (dt STRING COMMENT '退款日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.dwd_member_info_df (
    member_id       STRING  COMMENT '会员编号',
    mobile_mask     STRING  COMMENT '脱敏手机号',
    gender          STRING  COMMENT '性别',
    age_group       STRING  COMMENT '年龄段',
    level_code      STRING  COMMENT '等级',
    register_date   STRING  COMMENT '注册日期 yyyyMMdd'
)
COMMENT '会员信息_日全量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;
