-- dialect: spark
CREATE TABLE IF NOT EXISTS dim_user (id INT COMMENT 'i') USING parquet COMMENT 'u';
INSERT OVERWRITE dim_user SELECT id FROM ods_user;
