-- dialect: doris
INSERT INTO ads.report (id) SELECT id FROM ods.orders;
