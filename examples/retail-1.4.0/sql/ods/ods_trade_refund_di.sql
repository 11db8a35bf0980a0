-- 目标表   : retail_dw.ods_trade_refund_di（退款单_日增量）
-- 来源     : 退款库 refund.t_refund，由抽取任务 sync_trade_refund 落地
-- 调度     : 每日 00:40；参数 bizdate = 业务日期 yyyyMMdd
ALTER TABLE retail_dw.ods_trade_refund_di ADD IF NOT EXISTS PARTITION (dt = '${bizdate}')
LOCATION '/warehouse/retail/ods/ods_trade_refund_di/dt=${bizdate}';
