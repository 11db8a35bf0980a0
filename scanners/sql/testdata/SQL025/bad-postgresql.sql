-- dialect: postgresql
(SELECT id FROM a) EXCEPT (SELECT id, name FROM b);
