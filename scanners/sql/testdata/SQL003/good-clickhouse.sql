-- dialect: clickhouse
SELECT a.id, tag FROM events a ARRAY JOIN a.tags AS tag;
SELECT a.id FROM events a ANY LEFT JOIN users b USING (id);
SELECT a.id, number FROM events a, numbers(3);
