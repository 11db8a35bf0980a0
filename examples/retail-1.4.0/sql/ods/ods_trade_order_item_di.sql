-- 目标表   : retail_dw.ods_trade_order_item_di（交易订单明细_日增量）
-- 来源     : 交易库 trade.t_order_item，由抽取任务 sync_trade_order_item 落地
-- 调度     : 每日 00:40；参数 bizdate = 业务日期 yyyyMMdd
ALTER TABLE retail_dw.ods_trade_order_item_di ADD IF NOT EXISTS PARTITION (dt = '${bizdate}')
LOCATION '/warehouse/retail/ods/ods_trade_order_item_di/dt=${bizdate}';
