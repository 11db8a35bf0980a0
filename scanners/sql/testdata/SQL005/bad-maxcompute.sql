-- dialect: maxcompute
SELECT id FROM ods_login WHERE CONCAT(ds, '00') = '${hour}';
