-- 目标表 : risk_dw.ods_risk_event_di（风险事件_日增量）
-- 来源   : Kafka risk_event 落地目录
CREATE TABLE IF NOT EXISTS risk_dw.ods_risk_event_di (
    event_id    STRING COMMENT '事件编号',
    user_id     STRING COMMENT '用户编号',
    device_id   STRING COMMENT '设备指纹',
    event_type  STRING COMMENT '类型：LOGIN/PAY/WITHDRAW',
    amount      DECIMAL(18,2) COMMENT '金额（元）',
    event_time  STRING COMMENT '发生时间'
)
USING PARQUET
PARTITIONED BY (dt STRING)
COMMENT '风险事件_日增量';

-- 重跑前清理当日分区
TRUNCATE TABLE risk_dw.ods_risk_event_di PARTITION (dt = '${bizdate}');
INSERT INTO risk_dw.ods_risk_event_di PARTITION (dt = '${bizdate}')
SELECT event_id, user_id, device_id, event_type, amount, event_time
FROM   risk_dw.tmp_risk_event_landing
WHERE  load_date = '${bizdate}';
