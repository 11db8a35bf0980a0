-- dialect: postgresql
WITH gone AS (DELETE FROM sessions WHERE expired RETURNING user_id)
SELECT user_id FROM gone;
