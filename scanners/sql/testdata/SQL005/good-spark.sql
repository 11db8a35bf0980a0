-- dialect: spark
SELECT id FROM ods_login WHERE dt >= '${day}' AND lower(name) = 'a';
