-- dialect: maxcompute
SELECT id FROM dwd_order WHERE ds IN ('20240101', '20240102') AND pt BETWEEN '20240101' AND '20240131';
