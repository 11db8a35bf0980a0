-- dialect: maxcompute
SELECT id FROM dwd_order WHERE ds = '${bizdate}' AND pt = MAX_PT('dwd_order');
