-- dialect: spark
INSERT OVERWRITE dim_user SELECT id FROM dim_user;
