-- dialect: maxcompute
SELECT id FROM ods_login WHERE ds = MAX_PT('ods_login');
