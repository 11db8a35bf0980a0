package sql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const hive = "-- dialect: hive\n"

// manyJoins are n joins of tables with names of their own.
func manyJoins(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " JOIN u%d ON a.id = u%d.id", i, i)
	}
	return b.String()
}

// What breaks the rules about structure, and what only looks as if it did.
func TestStructure(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		// SQL003
		{"comma join", "SELECT a.x, b.y FROM t a, u b", "SQL003"},
		{"comma join with a filter", "SELECT a.x, b.y FROM t a, u b WHERE a.z = 1 AND b.z = 1", "SQL003"},
		{"comma join, linked", "SELECT a.x, b.y FROM t a, u b WHERE a.id = b.id AND a.z = 1", ""},
		{"comma join, linked by full names", "SELECT t.x, u.y FROM db.t, db.u WHERE db.t.id = u.id; SELECT t.x FROM t, u WHERE t.id = u.id", ""},
		{"comma joins, linked through the third", "SELECT a.x FROM t a, u b, v c WHERE a.id = c.id AND b.id = c.id", ""},
		{"comma joins, one loose", "SELECT a.x FROM t a, u b, v c WHERE a.id = b.id", "SQL003"},
		{"TPC-DS, without qualifiers", "SELECT i_item_id, d_year FROM store_sales, item, date_dim WHERE ss_item_sk = i_item_sk AND ss_sold_date_sk = d_date_sk AND d_year = 2000", ""},
		{"linked inside brackets", "SELECT a.x FROM t a, u b WHERE (a.id = b.id) AND ((a.z = 1 OR b.z = 2))", ""},
		{"linked in both branches of OR", "SELECT a.x FROM t a, u b WHERE (a.id = b.id AND a.z = 1) OR (a.id = b.id AND b.z = 2)", ""},
		{"linked by a function", "SELECT a.x FROM t a, u b WHERE concat(a.x, '-') = b.x", ""},
		{"linked by a range", "SELECT a.x FROM t a JOIN u b ON a.d BETWEEN b.s AND b.e", ""},
		{"linked through EXISTS", "SELECT a.x FROM t a, u b WHERE EXISTS (SELECT 1 FROM v c WHERE c.x = a.x AND c.y = b.y)", ""},
		{"linked through the query around", "SELECT o.x FROM o WHERE EXISTS (SELECT 1 FROM t a, u b WHERE a.id = o.id AND b.id = o.id)", ""},
		{"linked by rows", "SELECT a.x FROM t a, u b WHERE (a.p, a.q) = (b.p, b.q)", ""},
		{"linked by a struct's field", "SELECT a.x FROM t a, u b WHERE a.info.id = b.id", ""},
		{"join without ON", "SELECT a.x FROM t a JOIN u b", "SQL003"},
		{"join ON 1 = 1", "SELECT a.x FROM t a LEFT JOIN u b ON 1 = 1", "SQL003"},
		{"join on a filter", "SELECT a.x FROM t a JOIN u b ON a.z = 1", "SQL003"},
		{"join linked in WHERE", "SELECT a.x FROM t a JOIN u b WHERE a.id = b.id", ""},
		{"joins with ONs behind", "SELECT a.x FROM t a JOIN u b JOIN v c ON b.id = c.id ON a.id = b.id", ""},
		{"join of a group", "SELECT a.x FROM t a LEFT JOIN (u b JOIN v c ON b.id = c.id) ON a.id = b.id", ""},
		{"join USING", "SELECT t.x FROM t JOIN u USING (id)", ""},
		{"join USING, ClickHouse", "SELECT t.x FROM t ANY LEFT JOIN u USING id, day WHERE t.x = 1", ""},
		{"natural join", "SELECT t.x FROM t NATURAL JOIN u", ""},
		{"cross join", "SELECT a.x FROM t a CROSS JOIN u b", "SQL003"},
		{"cross join with a condition", "SELECT a.x FROM t a CROSS JOIN u b WHERE a.id = b.id", ""},
		{"cross join of one row", "SELECT a.x FROM t a CROSS JOIN (SELECT max(d) AS d FROM u) b; SELECT a.x FROM t a, (SELECT 1 AS one) b; SELECT a.x FROM t a CROSS JOIN (SELECT d FROM u ORDER BY d LIMIT 1) b", ""},
		{"cross join of a table expression of one row", "WITH m AS (SELECT max(d) AS d FROM u) SELECT a.x FROM t a CROSS JOIN m", ""},
		{"cross join of a union", "SELECT a.x FROM t a CROSS JOIN (SELECT 1 AS p UNION ALL SELECT 2 AS p) b", "SQL003"},
		{"cross join of what a row holds", "SELECT a.x, v FROM t a CROSS JOIN UNNEST(a.items) AS v; SELECT a.x FROM t a, LATERAL (SELECT b.y FROM u b WHERE b.id = a.id) c; SELECT a.x FROM t a CROSS APPLY f(a.x) b", ""},
		{"lateral view", "SELECT a.x, k, v FROM t a LATERAL VIEW OUTER explode(a.m) e AS k, v LATERAL VIEW explode(a.n) f AS w WHERE k = 1", ""},
		{"array join", "SELECT a.x, y FROM t a ARRAY JOIN a.items AS y, a.prices AS z WHERE y = 1", ""},
		{"table functions", "SELECT a.x, n FROM t a, generate_series(1, 3) n; SELECT a.x FROM t a CROSS JOIN numbers(10); SELECT a.x FROM t a, TABLE(f(a.x)) b; SELECT a.x FROM t a JOIN (VALUES (1), (2)) v (n) ON TRUE", ""},
		{"semi join", "SELECT a.x FROM t a LEFT SEMI JOIN u b ON a.id = b.id; SELECT a.x FROM t a LEFT ANTI JOIN u b ON a.id = b.id", ""},
		{"three joins", "SELECT a.x FROM t a JOIN u b ON a.id = b.id LEFT JOIN v c ON c.id = b.id AND c.z = 1 FULL OUTER JOIN w d ON coalesce(a.id, c.id) = d.id", ""},
		{"condition from a template", "SELECT a.x FROM t a, u b WHERE ${cond}; SELECT a.x FROM t a JOIN u b ON {{ on }}; SELECT a.x FROM t a, u b WHERE a.z = 1 ${more}", ""},
		{"condition in a tag", "SELECT a.x FROM t a, u b {% if x %} WHERE a.id = b.id {% endif %}", ""},
		{"a parameter is no link", "SELECT a.x FROM t a, u b WHERE a.day = '${x}' AND b.day = '${x}'", "SQL003"},
		{"several inserts of one FROM", "FROM t a JOIN u b ON a.id = b.id INSERT INTO x (p) SELECT a.p INSERT INTO y (q) SELECT b.q", ""},
		{"update with a list", "UPDATE t a, u b SET a.x = b.x WHERE a.id = b.id; DELETE a FROM t a, u b WHERE a.id = b.id", ""},
		{"templates as tables", "SELECT a.x FROM {{ ref('t') }} a JOIN {{ ref('u') }} AS b ON a.id = b.id; SELECT a.x FROM ${db}.t_${day} a JOIN ${db}.u b ON a.id = b.id", ""},
		{"index hints", "SELECT a.x FROM t a FORCE INDEX (i) JOIN u b USE INDEX (j, k) ON a.id = b.id; SELECT a.x FROM t AS a WITH (NOLOCK) JOIN u b WITH (NOLOCK) ON a.id = b.id", ""},
		{"subqueries in later branches", "SELECT a FROM (SELECT a FROM t) x UNION ALL SELECT b FROM (SELECT b, c FROM u) y UNION ALL SELECT d FROM (SELECT d FROM v UNION ALL SELECT d FROM (SELECT d, e FROM w) z) p", ""},
		{"answers as tables", "SELECT explain FROM (EXPLAIN actions = 1 SELECT a, b FROM t ORDER BY f(a), b)", ""},
		{"paste join", "SELECT a.x FROM t a PASTE JOIN u b", ""},
		{"samples", "SELECT a.x FROM t TABLESAMPLE (10 PERCENT) a JOIN u FINAL b ON a.id = b.id", ""},
		{"old outer join", "SELECT a.x FROM t a, u b WHERE a.id = b.id (+)", ""},

		// SQL020
		{"not in", "SELECT a FROM t WHERE b NOT IN (SELECT c FROM u)", "SQL020"},
		{"not in a list", "SELECT a FROM t WHERE b NOT IN (1, 2) AND b IN (SELECT c FROM u)", ""},
		{"not in what is not null", "SELECT a FROM t WHERE b NOT IN (SELECT c FROM u WHERE c IS NOT NULL)", ""},

		// SQL022
		{"order by", "SELECT a FROM t ORDER BY a", "SQL022"},
		{"order by of a union", "SELECT a FROM t UNION ALL SELECT a FROM u ORDER BY a", "SQL022"},
		{"order by in an insert", "INSERT INTO x (a) SELECT a FROM t ORDER BY a", "SQL022"},
		{"order by with a limit", "SELECT a FROM t ORDER BY a LIMIT 10; SELECT a FROM t ORDER BY a FETCH FIRST 5 ROWS ONLY; SELECT TOP 5 a FROM t ORDER BY a; SELECT a FROM t ORDER BY a LIMIT ${n}; SELECT a FROM t ORDER BY a ${limit}; (SELECT a FROM t) UNION ALL (SELECT a FROM u) ORDER BY a LIMIT 1", ""},
		{"window", "SELECT row_number() OVER (PARTITION BY a ORDER BY b) AS n, group_concat(a ORDER BY b), sum(c) OVER w AS m FROM t WINDOW w AS (PARTITION BY a ORDER BY b)", ""},
		{"within group", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) AS p FROM t", ""},
		{"first row of each key", "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b DESC", ""},
		{"inner order by", "SELECT a FROM (SELECT a FROM t ORDER BY a) x", ""},
		{"sort by", "SELECT a FROM t DISTRIBUTE BY a SORT BY b; SELECT a FROM t CLUSTER BY a", ""},
		{"ClickHouse DDL", "CREATE TABLE IF NOT EXISTS ads_t (a Int32 COMMENT 'a') ENGINE = MergeTree PARTITION BY a ORDER BY (a, b) TTL d + INTERVAL 1 DAY COMMENT 'x'; CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = SummingMergeTree ORDER BY a AS SELECT a, sum(b) AS b FROM t GROUP BY a", ""},
		{"projection", "CREATE TABLE IF NOT EXISTS ads_t (a Int32 COMMENT 'a', PROJECTION p (SELECT a ORDER BY a)) ENGINE = MergeTree ORDER BY a TTL d COMMENT 'x'", ""},
		{"cursor", "DELIMITER //\nCREATE PROCEDURE p() BEGIN DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a; OPEN c; END//\n", ""},

		// SQL023
		{"limit", "INSERT INTO x (a) SELECT a FROM t LIMIT 10", "SQL023"},
		{"limit inside", "INSERT INTO x (a) SELECT a FROM (SELECT a FROM t LIMIT 10) y", "SQL023"},
		{"limit with an order", "INSERT INTO x (a) SELECT a FROM t ORDER BY a LIMIT 10; INSERT INTO x (a) SELECT a FROM t WHERE b IN (SELECT c FROM u LIMIT 1)", ""},
		{"limit of an aggregate", "INSERT INTO x (a) SELECT max(a) FROM t LIMIT 1", ""},

		// SQL008, SQL025
		{"too few", "INSERT INTO x (a, b) SELECT a FROM t", "SQL008"},
		{"too many in values", "INSERT INTO x (a, b) VALUES (1, 2), (1, 2, 3), (1)", "SQL008"},
		{"arity fits", "INSERT INTO x (a, b) VALUES (1, f(2, 3)), (3, (SELECT max(c) FROM t)); INSERT INTO x (a, b) SELECT a, CASE WHEN b THEN 1 ELSE 2 END FROM t; INSERT INTO x (a, b) (SELECT a, b FROM t)", ""},
		{"trailing commas", "INSERT INTO x (a, b, ) VALUES (1, 2), (1, 2, )", ""},
		{"settings", "SELECT 1 AS a UNION ALL SELECT 2 AS a SETTINGS x = 1, y = 2", ""},
		{"arity unknown", "INSERT INTO x (a, b) SELECT * FROM (SELECT a, b FROM t) y; INSERT INTO x (a, b) SELECT a, {{ cols }} FROM t; INSERT INTO x (a, b, c) SELECT stack(2, a, b) FROM t; INSERT INTO x (a, b) SELECT explode(m) AS (k, v) FROM t; INSERT INTO x (${cols}) SELECT a FROM t; INSERT INTO x (a, b) SELECT a {{ more }} FROM t", "SQL001"},
		{"arity with dynamic partitions", "SET hive.exec.dynamic.partition.mode=nonstrict; INSERT INTO x PARTITION (dt) (a, b) SELECT a, b, dt FROM t; INSERT INTO x PARTITION (dt) (a, dt) SELECT a, dt FROM t; INSERT INTO x PARTITION (p = 'a', q) (a) SELECT a, q FROM t", ""},
		{"arity of each branch", "INSERT INTO x (a, b) SELECT a, b FROM t UNION ALL SELECT a FROM u", "SQL008 SQL025"},
		{"arity behind WITH", "INSERT INTO x (a, b) WITH y AS (SELECT a FROM t) SELECT y.a, 1 FROM y; WITH y AS (SELECT a, b, c FROM t) INSERT INTO x (a) SELECT y.a FROM y", ""},
		{"union", "SELECT a, b FROM t UNION ALL SELECT a FROM u", "SQL025"},
		{"union in brackets", "(SELECT a, b FROM t) UNION ALL (SELECT a FROM u)", "SQL025"},
		{"union in a table expression", "WITH x AS (SELECT a FROM t UNION ALL SELECT a, b FROM u) SELECT x.a FROM x", "SQL025"},
		{"unions that fit", "SELECT a, b FROM t UNION ALL SELECT a, f(b, c) FROM u UNION ALL SELECT DISTINCT a, b FROM v; SELECT a, b FROM (SELECT a, b FROM t UNION ALL (SELECT a, b FROM u)) x; SELECT a FROM ((SELECT a FROM t) UNION ALL (SELECT a FROM u)) x JOIN ((SELECT b FROM v) UNION ALL SELECT b FROM w) y ON x.a = y.b", ""},
		{"except is no union", "SELECT * EXCEPT (a) FROM t", "SQL001"},

		// SQL026, SQL028
		{"nested", "SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM t) v) w) x) y", "SQL026"},
		{"four levels are fine", "SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM t) w) x) y", ""},
		{"brackets are no levels", "SELECT a FROM ((((((SELECT a FROM t)))))) x WHERE ((((((a = 1))))))", ""},
		{"table expressions are no levels", "WITH a AS (SELECT x FROM t), b AS (SELECT x FROM (SELECT x FROM (SELECT x FROM a) p) q), c AS (SELECT x FROM b) SELECT x FROM c", ""},
		{"nine joins", "SELECT a.x FROM t a" + manyJoins(9), "SQL028"},
		{"eight joins", "SELECT a.x FROM t a" + manyJoins(8), ""},

		// SQL029
		{"date", "SELECT a FROM t WHERE dt = '20240101' AND b = 1", "SQL029"},
		{"dates", "SELECT a FROM t WHERE dt BETWEEN '2024-01-01' AND '2024-01-31' AND stat_date >= DATE '2024-01-01' AND ds IN ('20240101', '20240102') AND '20240101' < t.pt", "SQL029 SQL029 SQL029 SQL029"},
		{"date in a partition", "INSERT OVERWRITE TABLE x PARTITION (dt = '20240101') SELECT a FROM t WHERE dt = '${d}'", "SQL029"},
		{"dates that are meant", "SELECT a FROM t WHERE dt = '${bizdate}' AND dt <> '9999-12-31' AND end_date = '99991231' AND dt > '1970-01-01' AND code = '20240101' AND dt = date_sub('${d}', 1)", ""},
		{"dates in other places", "INSERT INTO t (dt) VALUES ('20240101'); SELECT '20240101' AS dt FROM t; ALTER TABLE t ADD IF NOT EXISTS PARTITION (dt = '20240101'); UPDATE t SET dt = '20240101' WHERE id = 1", ""},

		// SQL031, SQL032
		{"function on a key", "SELECT a.x FROM t a JOIN u b ON lower(a.id) = b.id AND cast(a.k AS INT) = b.k", "SQL031 SQL031"},
		{"cast of PostgreSQL", "SELECT a.x FROM t a JOIN u b ON a.id::text = b.id", "SQL031"},
		{"function beside keys", "SELECT a.x FROM t a JOIN u b ON a.id = b.id AND lower(a.z) = 'x' AND b.d = date_add('${d}', 1)", ""},
		{"constant key", "SELECT a.x FROM t a JOIN u b ON coalesce(a.id, -1) = b.id AND nvl(a.k, '') = b.k", "SQL032 SQL032"},
		{"spread key", "SELECT a.x FROM t a JOIN u b ON coalesce(a.id, concat('r', rand())) = b.id", "SQL031"},

		// SQL037
		{"ambiguous", "SELECT a.x, y FROM t a JOIN u b ON a.id = b.id", "SQL037"},
		{"ambiguous in WHERE", "SELECT a.x FROM t a JOIN u b ON a.id = b.id WHERE y = 1", "SQL037"},
		{"not ambiguous", "SELECT a.x, b.y AS z, count(*) AS n, 1, 'c', current_date, f(1) FROM t a JOIN u b ON a.id = b.id WHERE b.y > 1 GROUP BY a.x, z ORDER BY z LIMIT 1", ""},
		{"parameter of a routine", "DELIMITER $$\nCREATE PROCEDURE p(IN p_dt VARCHAR(8))\nBEGIN\n  INSERT INTO ads_r (dt, cnt) SELECT p_dt, COUNT(*) FROM t a, u b WHERE a.id = b.id AND p_dt > 1;\nEND $$\nDELIMITER ;\nSELECT a.x FROM t a JOIN u b ON a.id = b.id", ""},
		{"one table", "SELECT x, y FROM t WHERE z = 1", ""},
		{"one table and what it holds", "SELECT x, k FROM t LATERAL VIEW explode(m) e AS k; SELECT x, v FROM t, UNNEST(t.m) AS v", ""},
		{"semi join shows one table", "SELECT x FROM t LEFT SEMI JOIN u ON t.id = u.id", ""},
		{"using", "SELECT id, t.x FROM t JOIN u USING (id)", ""},
		{"known columns", "CREATE TABLE IF NOT EXISTS ods_t (id INT COMMENT 'i', x INT COMMENT 'x') COMMENT 't'; CREATE TABLE IF NOT EXISTS ods_u (uid INT COMMENT 'i', y INT COMMENT 'y') COMMENT 'u'; SELECT x, y FROM ods_t JOIN ods_u ON id = uid", ""},
		{"known columns, in both", "CREATE TABLE IF NOT EXISTS ods_t (id INT COMMENT 'i', x INT COMMENT 'x') COMMENT 't'; CREATE TABLE IF NOT EXISTS ods_u (uid INT COMMENT 'i', x INT COMMENT 'y') COMMENT 'u'; SELECT x FROM ods_t t JOIN ods_u u ON t.id = u.uid", "SQL037"},
		{"columns of subqueries", "SELECT p, q FROM (SELECT id, a AS p FROM t) x JOIN (SELECT uid, b AS q FROM u) y ON x.id = y.uid; WITH x AS (SELECT id, p FROM t), y AS (SELECT uid, q FROM u) SELECT p, q FROM x JOIN y ON x.id = y.uid", ""},

		// SQL038
		{"nullified", "SELECT a.x FROM t a LEFT JOIN u b ON a.id = b.id WHERE b.y = 1", "SQL038"},
		{"nullified among others", "SELECT a.x FROM t a LEFT OUTER JOIN u b ON a.id = b.id LEFT JOIN v c ON a.id = c.id WHERE a.z = 1 AND (b.y IN (1, 2) AND c.w LIKE 'a%')", "SQL038 SQL038"},
		{"not nullified", "SELECT a.x FROM t a LEFT JOIN u b ON a.id = b.id WHERE a.y = 1 AND (b.y = 1 OR b.y IS NULL) AND coalesce(b.z, 0) = 0 AND b.id IS NULL AND NOT (b.w = 1) AND b.v <=> 1", ""},
		{"inner join behind", "SELECT a.x FROM t a JOIN u b ON a.id = b.id LEFT JOIN v c ON c.id = a.id WHERE b.y = 1", ""},

		// SQL039, SQL040, SQL016, SQL006
		{"cluster", "ALTER TABLE d.t ON CLUSTER c UPDATE a = 1 WHERE b = 2; ALTER TABLE d.t ON CLUSTER '{cluster}' DROP COLUMN a", "SQL039 SQL039"},
		{"cluster, harmless", "ALTER TABLE d.t ON CLUSTER c ADD COLUMN a Int32, MODIFY TTL d; ALTER TABLE d.t DELETE WHERE a = 1; ALTER TABLE d.t ON CLUSTER c DROP INDEX i", ""},
		{"reads what it overwrites", "INSERT OVERWRITE TABLE dim_t SELECT a.x FROM dim_t a UNION ALL SELECT x FROM ods_t", "SQL006 SQL040"},
		{"reads another partition", "INSERT OVERWRITE TABLE dim_t PARTITION (dt = '${d}') SELECT x FROM dim_t WHERE dt = '${y}'", ""},
		{"reads a table expression of that name", "INSERT OVERWRITE TABLE tmp_t WITH tmp_t AS (SELECT x FROM ods_t) SELECT x FROM tmp_t", ""},
		{"backwards", "INSERT INTO ods_a (x) SELECT x FROM dws_b; CREATE TABLE IF NOT EXISTS dwd_a AS SELECT x FROM ads.b", "SQL016 SQL016"},
		{"too far", "INSERT INTO ads_a (x) SELECT b.x FROM ods_b b", "SQL016"},
		{"in order", "INSERT INTO ads_a (x) SELECT b.x FROM dwd_b b JOIN dim_c c ON b.id = c.id; INSERT INTO dwd_a (x) SELECT x FROM ods_b; INSERT INTO dws_a (x) SELECT x FROM dws_b; INSERT INTO app_a (x) SELECT x FROM odserver_b", ""},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, strings.Join(found(t, c.text), " "), c.text) })
	}
}

// The rules that need the dialect, or the package's own tables.
func TestDialects(t *testing.T) {
	const ddl = "CREATE TABLE IF NOT EXISTS dwd_t (id STRING COMMENT 'i', n BIGINT COMMENT 'n') COMMENT 't' PARTITIONED BY (dt STRING, hour STRING) STORED AS ORC;\n"
	for _, c := range []struct{ name, path, text, want string }{
		// SQL004
		{"no filter", "a.sql", hive + ddl + "SELECT id FROM dwd_t", "SQL004"},
		{"no filter on it in a join", "a.sql", hive + ddl + "SELECT t.id FROM dwd_t t JOIN ods_u u ON t.id = u.id AND u.dt = '${d}'", "SQL004"},
		{"filter", "a.sql", hive + ddl + "SELECT id FROM dwd_t WHERE dt = '${d}'; SELECT t.id FROM dwd_t t JOIN ods_u u ON t.id = u.id AND t.hour = '01'", ""},
		{"no filter, with the database's name", "a.sql", hive + ddl + "SELECT id FROM db.dwd_t WHERE n = 1", "SQL004"},
		{"filter around", "a.sql", hive + ddl + "SELECT x.id FROM (SELECT id, dt FROM dwd_t) x WHERE x.dt = '${d}'; WITH x AS (SELECT id, dt FROM dwd_t) SELECT id FROM x WHERE dt = '${d}'", ""},
		{"filter of another table expression", "a.sql", hive + ddl + "WITH x AS (SELECT id FROM dwd_t), y AS (SELECT id FROM ods_u WHERE dt = '${d}') SELECT x.id FROM x JOIN y ON x.id = y.id", "SQL004"},
		{"filter by a join on the partition", "a.sql", hive + ddl + "SELECT t.id FROM dwd_t t JOIN ods_u u ON t.dt = u.dt AND t.id = u.id", ""},
		{"filter from a template", "a.sql", hive + ddl + "SELECT id FROM dwd_t WHERE ${cond}; SELECT id FROM dwd_t {% if x %} WHERE dt = '1' {% endif %}", ""},
		{"latest partition", "a.sql", hive + ddl + "SELECT max(dt) FROM dwd_t; SELECT DISTINCT dt, hour FROM dwd_t", ""},
		{"view", "a.sql", hive + ddl + "CREATE VIEW v AS SELECT id FROM dwd_t", ""},
		{"table expression of that name", "a.sql", hive + ddl + "WITH dwd_t AS (SELECT id FROM ods_t) SELECT id FROM dwd_t", ""},
		{"two databases", "a.sql", hive + "CREATE TABLE IF NOT EXISTS a.dwd_t (id INT COMMENT 'i') COMMENT 't' PARTITIONED BY (dt STRING) STORED AS ORC; CREATE TABLE IF NOT EXISTS b.dwd_t (id INT COMMENT 'i') COMMENT 't' STORED AS ORC; SELECT id FROM dwd_t; SELECT id FROM b.dwd_t; USE a; SELECT id FROM dwd_t", "SQL004"},

		// SQL005
		{"function on the partition", "a.sql", hive + ddl + "SELECT id FROM dwd_t WHERE substr(dt, 1, 6) = '202401' AND id = 'x'; SELECT id FROM other WHERE date_format(ds, 'yyyyMM') >= '${m}'", "SQL005 SQL005"},
		{"function elsewhere", "a.sql", hive + ddl + "SELECT id, substr(dt, 1, 6) AS m FROM dwd_t WHERE dt = date_format('${d}', 'yyyyMMdd') AND substr(id, 1, 1) = 'x'; SELECT x.id FROM (SELECT id, dt FROM dwd_t WHERE dt = '${d}') x WHERE substr(x.dt, 1, 6) = '1'", ""},
		{"function in MySQL", "mysql/a.sql", "-- x\nSELECT id FROM t WHERE date(dt) = '${d}'", ""},

		// SQL006, SQL007
		{"overwrite", "a.sql", hive + ddl + "INSERT OVERWRITE TABLE dwd_t SELECT id, n, dt, hour FROM ods_t WHERE dt = '${d}'", "SQL006"},
		{"overwrite of a table without partitions", "a.sql", hive + "CREATE TABLE IF NOT EXISTS dim_t (id INT COMMENT 'i') COMMENT 't' STORED AS ORC; INSERT OVERWRITE TABLE dim_t SELECT id FROM ods_t WHERE dt = '${d}'; CREATE TABLE IF NOT EXISTS dim_u STORED AS ORC AS SELECT 1 AS a; INSERT OVERWRITE TABLE dim_u SELECT 2 AS a", ""},
		{"overwrite in dynamic mode", "a.sql", "-- dialect: spark\nSET spark.sql.sources.partitionOverwriteMode=dynamic;\n" + ddl + "INSERT OVERWRITE TABLE dwd_t SELECT id, n, dt, hour FROM ods_t WHERE dt = '${d}'", ""},
		{"dynamic", "a.sql", hive + ddl + "INSERT OVERWRITE TABLE dwd_t PARTITION (dt, hour) SELECT id, n, dt, hour FROM ods_t WHERE dt = '${d}'", "SQL007"},
		{"dynamic in part, or permitted", "a.sql", hive + ddl + "INSERT OVERWRITE TABLE dwd_t PARTITION (dt = '${d}', hour) SELECT id, n, hour FROM ods_t WHERE dt = '${d}'", ""},
		{"dynamic, permitted", "a.sql", hive + ddl + "SET hive.exec.dynamic.partition.mode = nonstrict; INSERT OVERWRITE TABLE dwd_t PARTITION (dt, hour) SELECT id, n, dt, hour FROM ods_t WHERE dt = '${d}'", ""},
		{"dynamic in Spark", "spark/a.sql", "-- x\n" + ddl + "INSERT OVERWRITE TABLE dwd_t PARTITION (dt, hour) SELECT id, n, dt, hour FROM ods_t WHERE dt = '${d}'", ""},

		// SQL011, SQL013 … SQL018
		{"created again", "a.sql", hive + "DROP TABLE IF EXISTS dim_t; CREATE TABLE dim_t (id INT COMMENT 'i') COMMENT 't' STORED AS ORC; CREATE OR REPLACE TABLE dim_u (id INT COMMENT 'i') COMMENT 't' STORED AS ORC", ""},
		{"comments", "a.sql", hive + "CREATE TABLE IF NOT EXISTS dim_t (id INT, n INT COMMENT '') STORED AS ORC", "SQL013 SQL014"},
		{"comments of MySQL", "mysql/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS t (`id` INT NOT NULL COMMENT 'i', `k` INT DEFAULT 1 COMMENT 'k', PRIMARY KEY (id), KEY k (`k`), UNIQUE KEY u (k), INDEX i (k), CONSTRAINT c FOREIGN KEY (k) REFERENCES u (k)) ENGINE=InnoDB COMMENT='t'", ""},
		{"comments of PostgreSQL", "pg/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS s.t (id int, n text);\nCOMMENT ON TABLE s.t IS 't'; COMMENT ON COLUMN s.t.id IS 'i'; COMMENT ON COLUMN s.t.n IS 'n';", ""},
		{"no comments in PostgreSQL", "pg/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS t (id int, n text); COMMENT ON COLUMN t.id IS 'i';", "SQL013 SQL014"},
		{"comments of ClickHouse", "ck/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS ads.t ON CLUSTER c (id UInt64 COMMENT 'i', n Nullable(String) COMMENT 'n', INDEX i n TYPE minmax GRANULARITY 1) ENGINE = ReplicatedMergeTree('/x', '{r}') ORDER BY id TTL d + INTERVAL 1 DAY COMMENT 't'", ""},
		{"a column called key", "a.sql", hive + "CREATE TABLE IF NOT EXISTS dim_t (key STRING COMMENT 'k', value STRING COMMENT 'v') COMMENT 't' STORED AS ORC", ""},
		{"not described: copies, queries, templates", "a.sql", hive + "CREATE TABLE IF NOT EXISTS dim_t LIKE dim_u; CREATE TABLE IF NOT EXISTS dim_v STORED AS ORC AS SELECT 1 AS a; CREATE TEMPORARY TABLE x (a INT); CREATE TABLE IF NOT EXISTS tmp_x (a INT) STORED AS ORC; CREATE TABLE IF NOT EXISTS dim_w ({{ columns }}) STORED AS ORC", ""},
		{"naming", "a.sql", hive + "CREATE TABLE IF NOT EXISTS db.orders (id INT COMMENT 'i') COMMENT 't' STORED AS ORC; CREATE TABLE IF NOT EXISTS dwd.orders (id INT COMMENT 'i') COMMENT 't' STORED AS ORC; CREATE TABLE IF NOT EXISTS ${db}.dwd_${x} (id INT COMMENT 'i') COMMENT 't' STORED AS ORC", "SQL015"},
		{"naming in an application's database", "mysql/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS orders (id INT COMMENT 'i') COMMENT='t'", ""},
		{"naming beside layers", "mysql/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS orders (id INT COMMENT 'i') COMMENT='t'; INSERT INTO ads_x (a) VALUES (1)", "SQL015"},
		{"storage", "a.sql", hive + "CREATE TABLE IF NOT EXISTS dim_t (id INT COMMENT 'i') COMMENT 't' ROW FORMAT DELIMITED FIELDS TERMINATED BY ','", "SQL017"},
		{"storage said", "spark/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS dim_t (id INT COMMENT 'i') USING parquet COMMENT 't'; CREATE TABLE IF NOT EXISTS dim_u (id INT COMMENT 'i') COMMENT 't' ROW FORMAT SERDE 'x'; CREATE TABLE IF NOT EXISTS dim_v (id INT COMMENT 'i') COMMENT 't' STORED BY 'x'", ""},
		{"storage by default", "a.sql", hive + "SET hive.default.fileformat=Orc; CREATE TABLE IF NOT EXISTS dim_t (id INT COMMENT 'i') COMMENT 't'", ""},
		{"no life cycle", "odps/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS dim_t (id BIGINT COMMENT 'i') COMMENT 't'", "SQL018"},
		{"no life cycle in ClickHouse", "clickhouse/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS ads_t (id UInt64 COMMENT 'i') ENGINE = MergeTree ORDER BY id COMMENT 't'; CREATE TABLE IF NOT EXISTS ads_u (id UInt64 COMMENT 'i') ENGINE = Distributed(c, d, t) COMMENT 't'", "SQL018"},
		{"life cycle in Doris", "doris/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS ads_t (id BIGINT COMMENT 'i') DUPLICATE KEY(id) COMMENT 't' PARTITION BY RANGE(dt) () DISTRIBUTED BY HASH(id) BUCKETS 1 PROPERTIES (\"dynamic_partition.enable\" = \"true\", \"dynamic_partition.start\" = \"-7\"); CREATE TABLE IF NOT EXISTS dim_t (id BIGINT COMMENT 'i') UNIQUE KEY(id) COMMENT 't' DISTRIBUTED BY HASH(id) BUCKETS 1 PROPERTIES (\"replication_num\" = \"3\")", ""},

		// SQL030
		{"conversion", "a.sql", hive + ddl + "SELECT t.id FROM dwd_t t WHERE t.id = 5 AND t.dt = 20240101 AND hour = 1", "SQL030 SQL030 SQL029 SQL030"},
		{"conversion in a join", "a.sql", hive + ddl + "CREATE TABLE IF NOT EXISTS dim_u (uid BIGINT COMMENT 'i') COMMENT 'u' STORED AS ORC; SELECT t.id FROM dwd_t t JOIN dim_u u ON t.id = u.uid AND t.dt = '${d}'", "SQL030"},
		{"no conversion", "a.sql", hive + ddl + "SELECT t.id FROM dwd_t t WHERE t.id = '5' AND t.n = 5 AND t.n = '5' AND t.dt = '${d}' AND cast(t.id AS BIGINT) = t.n AND t.id = f(5)", ""},

		// dbt
		{"model", "models/a.sql", "{{ config(materialized='table') }}\nwith a as (select id, x from {{ ref('a') }}), b as (select id, y from {{ source('s', 'b') }})\nselect a.id, b.y from a left join b on a.id = b.id\n{% if is_incremental() %} where a.x > (select max(x) from {{ this }}) {% endif %}", ""},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, strings.Join(foundIn(t, c.path, c.text), " "), c.text) })
	}
}

// Statements of absurd size cost what their length says, and are coverage at worst.
func TestSizeIsNoTrouble(t *testing.T) {
	const many = 100_000
	for _, c := range []struct{ name, text, want, degraded string }{
		{"one long line", "SELECT a FROM t WHERE b = 1" + strings.Repeat(" OR (order_status = 2 AND customer_name LIKE 'prefix%' AND region_id IN (1001, 2002))", 9<<20/85), "", ""},
		{"long IN list", "SELECT a FROM t WHERE b IN (1" + strings.Repeat(", 12345", many) + ")", "", ""},
		{"many rows", "INSERT INTO t (a, b) VALUES (1, 2)" + strings.Repeat(", (1, 'x')", many), "", ""},
		{"many brackets", "SELECT " + strings.Repeat("(", many) + "1" + strings.Repeat(")", many) + " AS a FROM t", "", "1 statement(s) nested too deeply to check as a whole, the first in line 1"},
		{"many nested queries", strings.Repeat("SELECT a FROM (", 10_000) + "SELECT a FROM t" + strings.Repeat(") x", 10_000), "SQL026", ""},
		{"many CASEs", "SELECT " + strings.Repeat("CASE WHEN a = 1 THEN ", many) + "1" + strings.Repeat(" END", many) + " AS a FROM t WHERE " + strings.Repeat("CASE WHEN a = 1 THEN ", many) + "1" + strings.Repeat(" END", many) + " = 1", "", ""},
		{"many branches", "SELECT a FROM t" + strings.Repeat(" UNION ALL SELECT a FROM t", many), "", ""},
		{"many sources", "SELECT 1 AS a FROM t" + strings.Repeat(", t", many), "", ""},
		{"many table expressions", "WITH a AS (SELECT b FROM t)" + strings.Repeat(", a AS (SELECT b FROM a)", many) + " SELECT b FROM a", "", ""},
		{"many columns", "CREATE TABLE IF NOT EXISTS ads_t (a INT COMMENT 'a'" + strings.Repeat(", b STRING COMMENT 'b'", many) + ") COMMENT 't'", "", ""},
		{"many statements", strings.Repeat("SELECT a FROM t WHERE b = 1;", many), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := look(t, "a.sql", c.text)
			ids := []string{}
			for _, f := range got.findings {
				ids = append(ids, f.Rule)
			}
			require.Equal(t, c.want, strings.Join(ids, " "))
			degraded := []string{}
			for _, d := range got.degraded {
				degraded = append(degraded, d.En)
			}
			require.Equal(t, c.degraded, strings.Join(degraded, "\n"))
			require.Less(t, got.steps, 80*len(c.text))
		})
	}
}
