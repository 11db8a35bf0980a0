-- dialect: postgresql
WITH gone AS (DELETE FROM sessions RETURNING user_id)
SELECT user_id FROM gone;
