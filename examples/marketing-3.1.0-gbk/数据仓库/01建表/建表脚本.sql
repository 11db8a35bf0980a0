-- ************************************************************
-- 功能：营销主题建表（MaxCompute）
-- 作者：周婷    日期：2026-02-10
-- ************************************************************
CREATE TABLE IF NOT EXISTS ods_mkt_coupon_di (
    coupon_id    STRING COMMENT '券编号',
    activity_id  STRING COMMENT '活动编号',
    user_id      STRING COMMENT '用户编号',
    coupon_amt   DECIMAL(18,2) COMMENT '面额（元）',
    status       STRING COMMENT '状态：领取、核销、过期',
    event_time   DATETIME COMMENT '状态时间'
)
COMMENT '优惠券流水_日增量'
PARTITIONED BY (ds STRING COMMENT '业务日期')
LIFECYCLE 90;

CREATE TABLE IF NOT EXISTS dwd_mkt_coupon_use_di (
    coupon_id    STRING COMMENT '券编号',
    activity_id  STRING COMMENT '活动编号',
    user_id      STRING COMMENT '用户编号',
    coupon_amt   DECIMAL(18,2) COMMENT '面额（元）',
    use_time     DATETIME COMMENT '核销时间'
)
COMMENT '优惠券核销明细_日增量'
PARTITIONED BY (ds STRING COMMENT '业务日期')
LIFECYCLE 730;

CREATE TABLE IF NOT EXISTS dws_mkt_activity_1d (
    activity_id  STRING COMMENT '活动编号',
    use_cnt      BIGINT COMMENT '核销张数',
    user_cnt     BIGINT COMMENT '核销人数',
    use_amt      DECIMAL(18,2) COMMENT '核销金额（元）'
)
COMMENT '活动效果_日汇总'
PARTITIONED BY (ds STRING COMMENT '业务日期')
LIFECYCLE 730;

CREATE TABLE IF NOT EXISTS ads_mkt_activity_report (
    activity_id    STRING COMMENT '活动编号',
    activity_name  STRING COMMENT '活动名称',
    use_amt        DECIMAL(18,2) COMMENT '核销金额（元）',
    effect_level   STRING COMMENT '效果评级：优、良、差'
)
COMMENT '活动效果报表'
PARTITIONED BY (ds STRING COMMENT '业务日期')
LIFECYCLE 1095;
