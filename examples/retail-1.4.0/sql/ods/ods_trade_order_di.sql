-- 目标表   : retail_dw.ods_trade_order_di（交易订单_日增量）
-- 来源     : 交易库 trade.t_order，由抽取任务 sync_trade_order 落地
-- 调度     : 每日 00:40；参数 bizdate = 业务日期 yyyyMMdd
-- 说明     : 抽取任务写文件，本脚本只挂分区
ALTER TABLE retail_dw.ods_trade_order_di ADD IF NOT EXISTS PARTITION (dt = '${bizdate}')
LOCATION '/warehouse/retail/ods/ods_trade_order_di/dt=${bizdate}';
