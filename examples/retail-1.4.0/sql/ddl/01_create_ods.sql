-- ============================================================
-- 功能描述 : ODS 层建表（贴源层，保留 90 天）
-- 创建人   : zhang_wei        创建日期 : 2025-11-03
-- 修改记录 : 2026-03-02 li_na  订单表增加渠道字段 channel_code
-- 说明     : 重复执行安全；字段顺序与抽取任务一致，勿调整
-- ============================================================
CREATE DATABASE IF NOT EXISTS retail_dw COMMENT '零售数仓';

CREATE EXTERNAL TABLE IF NOT EXISTS retail_dw.ods_trade_order_di (
    order_id        STRING          COMMENT '订单编号',
    member_id       STRING          COMMENT '会员编号；散客为空',
    store_code      STRING          COMMENT '门店编码',
    channel_code    STRING          COMMENT '渠道：POS/APP/MINI',
    order_status    STRING          COMMENT '状态：10-待付, 20-已付, 30-已发, 90-关闭',
    order_amt       DECIMAL(18,2)   COMMENT '订单金额（元）',
    discount_amt    DECIMAL(18,2)   COMMENT '优惠金额（元）',
    pay_time        STRING          COMMENT '支付时间 yyyy-MM-dd HH:mm:ss',
    create_time     STRING          COMMENT '下单时间',
    update_time     STRING          COMMENT '更新时间'
)
COMMENT '交易订单_日增量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
ROW FORMAT DELIMITED FIELDS TERMINATED BY '\001'
STORED AS TEXTFILE
LOCATION '/warehouse/retail/ods/ods_trade_order_di';

CREATE EXTERNAL TABLE IF NOT EXISTS retail_dw.ods_trade_order_item_di (
    order_id        STRING          COMMENT '订单编号',
    item_no         INT             COMMENT '行号',
    sku_code        STRING          COMMENT '商品编码',
    quantity        DECIMAL(12,3)   COMMENT '数量；称重商品为千克',
    price           DECIMAL(18,4)   COMMENT '成交单价（元）',
    item_amt        DECIMAL(18,2)   COMMENT '行金额（元）'
)
COMMENT '交易订单明细_日增量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
ROW FORMAT DELIMITED FIELDS TERMINATED BY '\001'
STORED AS TEXTFILE
LOCATION '/warehouse/retail/ods/ods_trade_order_item_di';

CREATE EXTERNAL TABLE IF NOT EXISTS retail_dw.ods_trade_refund_di (
    refund_id       STRING          COMMENT '退款单号',
    order_id        STRING          COMMENT '原订单编号',
    refund_amt      DECIMAL(18,2)   COMMENT '退款金额（元）',
    refund_reason   STRING          COMMENT '退款原因（用户填写）',
    refund_time     STRING          COMMENT '退款时间'
)
COMMENT '退款单_日增量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
ROW FORMAT DELIMITED FIELDS TERMINATED BY '\001'
STORED AS TEXTFILE
LOCATION '/warehouse/retail/ods/ods_trade_refund_di';

CREATE TABLE IF NOT EXISTS retail_dw.ods_crm_member_di (
    member_id       STRING COMMENT '会员编号',
    mobile          STRING COMMENT '手机号（密文）',
    gender          STRING COMMENT '性别：M/F/U',
    birthday        STRING COMMENT '生日 yyyy-MM-dd',
    level_code      STRING COMMENT '等级',
    register_time   STRING COMMENT '注册时间',
    update_time     STRING COMMENT '更新时间'
)
COMMENT '会员_日增量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC;

CREATE TABLE IF NOT EXISTS retail_dw.ods_crm_member_df (
    member_id       STRING COMMENT '会员编号',
    mobile          STRING COMMENT '手机号（密文）',
    gender          STRING COMMENT '性别：M/F/U',
    birthday        STRING COMMENT '生日 yyyy-MM-dd',
    level_code      STRING COMMENT '等级',
    register_time   STRING COMMENT '注册时间',
    update_time     STRING COMMENT '更新时间'
)
COMMENT '会员_日全量'
PARTITIONED BY (dt STRING COMMENT '业务日期 yyyyMMdd')
STORED AS ORC
TBLPROPERTIES ('orc.compress' = 'SNAPPY');
