SELECT count(id FROM t;
SELECT * FROM u; -- noqa: SQL001 reason=shown to a person
