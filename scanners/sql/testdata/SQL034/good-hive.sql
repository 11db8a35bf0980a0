-- dialect: hive
SET fs.s3a.secret.key=${secret};
