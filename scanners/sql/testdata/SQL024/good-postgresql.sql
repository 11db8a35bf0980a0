-- dialect: postgresql
(SELECT id FROM a) UNION ALL (SELECT id FROM b);
