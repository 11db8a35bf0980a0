-- 目标表：ads_mkt_activity_report（活动效果报表）
-- 评级：核销金额不低于 10 万为“优”，不低于 1 万为“良”，其余为“差”
INSERT OVERWRITE TABLE ads_mkt_activity_report PARTITION (ds = '${bizdate}')
SELECT  d.activity_id,
        COALESCE(a.activity_name, '未登记活动') AS activity_name,
        d.use_amt,
        CASE WHEN d.use_amt >= 100000 THEN '优'
             WHEN d.use_amt >= 10000  THEN '良'
             ELSE '差' END AS effect_level
FROM    dws_mkt_activity_1d d
LEFT JOIN dim_mkt_activity a
  ON    a.activity_id = d.activity_id
 AND    a.ds = '${bizdate}'
WHERE   d.ds = '${bizdate}';
