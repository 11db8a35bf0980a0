-- dialect: postgresql
(SELECT id FROM a) UNION (SELECT id FROM b);
