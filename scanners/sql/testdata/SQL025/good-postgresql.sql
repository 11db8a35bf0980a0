-- dialect: postgresql
SELECT DISTINCT ON (id, day) id, name FROM a UNION ALL SELECT id, name FROM b;
