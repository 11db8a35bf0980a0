/* outer /* inner: it's nested */ still outer */
CREATE OR REPLACE FUNCTION touch() RETURNS trigger AS $body$
BEGIN
  -- it's a body: ; ' "
  DELETE FROM audit;
  RETURN NEW;
END;
$body$ LANGUAGE plpgsql;

SELECT path || 'c:\' AS p, data #>> '{a,b}' AS d, x::int AS x FROM files WHERE note LIKE '%\_x' ESCAPE '\';
WITH gone AS (DELETE FROM sessions RETURNING user_id)
INSERT INTO audit (user_id) SELECT user_id FROM gone;
WITH gone AS (DELETE FROM sessions WHERE expired RETURNING *)
SELECT * FROM gone UNION SELECT id FROM users;
COPY countries (code, name) FROM stdin;
ci	Côte d'Ivoire
\.
DROP SCHEMA IF EXISTS staging CASCADE;
ALTER ROLE etl WITH PASSWORD 'Passw0rd!';
UPDATE users SET name = E'it\'s', email = NULL WHERE email = NULL;
