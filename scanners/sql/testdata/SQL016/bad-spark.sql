-- dialect: spark
CREATE TABLE IF NOT EXISTS dwd_sale USING parquet AS SELECT id FROM ads_sale;
