-- 一次性运维脚本：重刷报表库会员等级（RT-436）
-- 库      : MySQL report_db，由 DBA 在变更窗口执行
-- 申请人  : wang_fang

-- 1. 备份
DROP TABLE IF EXISTS bak_member_level_20260402;
CREATE TABLE bak_member_level_20260402 AS
SELECT member_id, level_code, update_time FROM rpt_member_level;

-- 2. 清空后重灌
DELETE FROM rpt_member_level;
INSERT INTO rpt_member_level
SELECT member_id, level_code, NOW()
FROM   tmp_member_level_20260402
WHERE  level_code IS NOT NULL;

-- 3. 未评级会员置空，已注销会员清理
UPDATE rpt_member_level SET level_code = NULL WHERE level_code = '';
DELETE FROM rpt_member_level WHERE level_code = NULL AND member_id IN (SELECT member_id FROM tmp_member_closed_20260402);
