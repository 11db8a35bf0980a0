package sql

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// found is the ids of the rules that a text breaks, in order of place; those that
// are suppressed stand in brackets.
func found(t testing.TB, text string) []string {
	t.Helper()
	return foundIn(t, "a.sql", text)
}

func foundIn(t testing.TB, path, text string) []string {
	t.Helper()
	ids := []string{}
	for _, f := range look(t, path, text).findings {
		if f.Suppressed {
			ids = append(ids, "("+f.Rule+")")
		} else {
			ids = append(ids, f.Rule)
		}
	}
	return ids
}

// look is an analysis without the missing header comment.
func look(t testing.TB, path, text string) analysis {
	t.Helper()
	s := New().(*scanner)
	a := newAnalyst(s.rules, s.settings)
	v, surveyed, err := a.survey(context.Background(), path, text, nil)
	require.NoError(t, err)
	got, err := a.analyse(context.Background(), v, text)
	require.NoError(t, err)
	got.findings = slices.DeleteFunc(got.findings, func(f report.Finding) bool { return f.Rule == headerRule })
	got.steps += surveyed
	for _, d := range got.degraded {
		require.Regexp(t, chinese, d.Zh, d.En)
	}
	return got
}

func TestEveryRuleKeepsItsExamples(t *testing.T) {
	last := ""
	for _, r := range New().(scanners.Catalogued).Rules() {
		require.Greater(t, r.ID, last, "the table is in order")
		last = r.ID
		ids := func(text string) (ids []string) {
			findings, coverage := scan(t, entry{"jobs/a.sql", text}, entry{"x/readme.md", ""})
			for _, f := range findings {
				ids = append(ids, f.Rule)
			}
			require.Len(t, coverage.Degraded, coverage.Eligible-coverage.Seen)
			return ids
		}
		if r.Bad == "" { // bytes that no documentation can show; TestEncodings has them
			require.Contains(t, r.ID, "ENC")
		} else {
			require.Contains(t, ids(r.Bad), r.ID)
		}
		require.NotContains(t, ids(r.Good), r.ID)
		require.Equal(t, "sql", r.Syntax)
		for _, text := range []report.Text{r.Message, r.Rationale} {
			require.NotEmpty(t, text.En)
			require.NotEmpty(t, text.Zh)
		}
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		// SQL000
		{"open string", "SELECT 'a FROM t", "SQL000"},
		{"open comment", "SELECT a /* FROM t", "SQL000"},
		{"open bracket", "SELECT count(a FROM t; SELECT b FROM t", "SQL000"},
		{"closing too much is not understood, but no error", "SELECT count(a)) FROM t", ""},
		{"PostgreSQL backslash", `SELECT 'c:\' FROM t; SELECT "x" FROM u`, ""},
		{"Hive backslash", `SELECT regexp_replace(a, '[\'"]', '') FROM t;`, ""},
		{"brackets by template", "SELECT {% if a %} f( {% else %} g( {% endif %} x) FROM t", ""},
		{"psql and copy", "\\set x 'y\nCOPY t (a) FROM stdin;\nit's\n\\.\nSELECT a FROM t;", ""},
		{"sqlplus", "PROMPT it's\nREM don't\nSELECT a FROM t;", ""},
		{"nested comment", "/* a /* b */ it's c */ SELECT a FROM t", ""},
		{"arrays", "SELECT a[1], ARRAY[1,2] FROM t", ""},
		{"unknown statements", "FROBNICATE the table; SELECT a FROM t", ""},

		// SQL001
		{"star", "SELECT * FROM t", "SQL001"},
		{"star with modifiers", "SELECT DISTINCT * FROM t", "SQL001"},
		{"top", "SELECT TOP 10 * FROM t", "SQL001"},
		{"qualified star", "SELECT a.*, b.x FROM t a JOIN u b ON a.id = b.id", "SQL001"},
		{"two stars", "SELECT a.*, b.* FROM t a JOIN u b ON a.id = b.id", "SQL001 SQL001"},
		{"star in a subquery", "SELECT a FROM (SELECT * FROM t) x", "SQL001"},
		{"star in an insert", "INSERT OVERWRITE TABLE a SELECT * FROM b", "SQL006 SQL001"},
		{"star in a view", "CREATE VIEW v AS SELECT * FROM b", "SQL001"},
		{"star behind a hint", "SELECT /*+ MAPJOIN(b) */ * FROM b", "SQL001"},
		{"star except", "SELECT * EXCEPT (a) FROM b", "SQL001"},
		{"count", "SELECT COUNT(*), count( * ), COUNT(t.*) FROM t", ""},
		{"exists", "SELECT a FROM t WHERE EXISTS (SELECT * FROM u WHERE u.id = t.id) AND NOT EXISTS ((SELECT * FROM v))", ""},
		{"multiplication", "SELECT a * b, 2 * 3, (a) * (b), a*${rate}, f(x) * g(y), 1 * -1 FROM t", ""},
		{"cte", "WITH x AS (SELECT a FROM t) SELECT * FROM x", ""},
		{"cte with alias and columns", "WITH x (a) AS (SELECT b FROM t), y AS NOT MATERIALIZED (SELECT c FROM u) SELECT p.*, * FROM X AS p JOIN y q ON p.a = q.c", ""},
		{"cte of dbt", "with source as (\n  select id from {{ ref('raw') }}\n), renamed as (select id as x from source)\nselect * from renamed", ""},
		{"cte and a table", "WITH x AS (SELECT a FROM t) SELECT x.*, u.* FROM x, u", "SQL001 SQL003"},
		{"cte and a table, bare", "WITH x AS (SELECT a FROM t) SELECT * FROM x JOIN u ON x.a = u.a", "SQL001"},
		{"cte of another statement", "WITH x AS (SELECT a FROM t) SELECT a FROM x; SELECT * FROM x", "SQL001"},
		{"a table of the same name elsewhere", "WITH x AS (SELECT a FROM t) SELECT * FROM db.x", "SQL001"},
		{"cte inside an insert", "INSERT INTO t (a) WITH x AS (SELECT a FROM u) SELECT * FROM x", ""},
		{"grant", "GRANT SELECT, DELETE, UPDATE ON *.* TO 'u'@'%'; REVOKE SELECT ON db.* FROM u", ""},
		{"explain", "EXPLAIN SELECT * FROM t", ""},
		{"star in a template", "SELECT {{ dbt.star('*') }}, ${a*b} FROM t", ""},
		{"star behind jinja tags", "SELECT {% for c in cs %} {{ c }}, {% endfor %} a FROM t", ""},
		{"star in strings and comments", "SELECT 'SELECT * FROM t' /* SELECT * */ AS a FROM t -- SELECT *", ""},
		{"union of a cte", "WITH x AS (SELECT a FROM t) SELECT * FROM x UNION ALL SELECT * FROM u", "SQL001"},

		// SQL002
		{"delete", "DELETE FROM t", "SQL002"},
		{"delete with a limit", "DELETE FROM t LIMIT 10", "SQL002"},
		{"update", "UPDATE t SET a = 1, b = (SELECT c FROM u WHERE d = 1)", "SQL002"},
		{"where only inside", "DELETE FROM t USING (SELECT a FROM u WHERE b = 1) x", "SQL002"},
		{"with … delete", "WITH x AS (SELECT a FROM u WHERE b = 1) DELETE FROM t USING x", "SQL002"},
		{"delete in with", "WITH gone AS (DELETE FROM t RETURNING id) SELECT id FROM gone", "SQL002"},
		{"delete in with, limited", "WITH gone AS (DELETE FROM t WHERE a = 1 RETURNING id) SELECT id FROM gone", ""},
		{"where", "DELETE FROM t WHERE a = 1; UPDATE t SET a = 1 WHERE b = 2; DELETE t FROM t JOIN u ON t.a = u.a WHERE u.b = 1", ""},
		{"where in a version comment", "DELETE FROM t /*!50000 WHERE a = 1 */", ""},
		{"where in a comment does not count", "DELETE FROM t /* WHERE a = 1 */ -- WHERE", "SQL002"},
		{"where by template", "DELETE FROM t {{ where }}; DELETE FROM {{ this }} {{ w }}; UPDATE t SET a = 1 ${where}; DELETE FROM ${db}.t_${x} ${cond}", ""},
		{"where in a jinja block", "DELETE FROM t {% if x %} WHERE a = 1 {% endif %}", ""},
		{"where by include", "DELETE FROM t {% include 'where.sql' %}", ""},
		{"template as a name or a value", "DELETE FROM ${db}.t; DELETE FROM {{ this }}; UPDATE t SET a = ${x}; DELETE FROM t_${d}", "SQL002 SQL002 SQL002 SQL002"},
		{"inner joins", "UPDATE t a JOIN s b ON a.id = b.id SET a.x = b.x; UPDATE t a INNER JOIN s b USING (id) SET a.x = b.x; DELETE a FROM t a JOIN s b ON a.id = b.id; DELETE a.*, b.* FROM t a JOIN s b ON a.id = b.id; DELETE FROM a USING t AS a INNER JOIN s AS b USING (id); UPDATE t NATURAL JOIN s SET t.x = s.x; UPDATE t STRAIGHT_JOIN s ON t.id = s.id SET t.x = 1", ""},
		{"inner joins of T-SQL", "UPDATE a SET a.x = b.x FROM t AS a JOIN s AS b ON a.id = b.id; UPDATE dbo.t SET x = s.x FROM dbo.t INNER JOIN s ON dbo.t.id = s.id; DELETE FROM a FROM t a JOIN s b ON a.id = b.id", ""},
		{"an inner join among others", "UPDATE t a LEFT JOIN u c ON a.id = c.id JOIN (SELECT id FROM s) b ON a.id = b.id SET a.x = 1; DELETE t FROM t LEFT SEMI JOIN s ON t.id = s.id; UPDATE t a JOIN s b JOIN u c ON b.id = c.id ON a.id = b.id SET a.x = 1", ""},
		{"joins that limit nothing", "UPDATE t, s SET t.x = s.x; DELETE t FROM t, s; UPDATE t CROSS JOIN s SET t.x = s.x; UPDATE t JOIN s SET t.x = s.x; DELETE a FROM t a LEFT JOIN s b ON a.id = b.id; UPDATE t LEFT OUTER JOIN s USING (id) SET t.x = 1; UPDATE t JOIN s LEFT JOIN u ON s.id = u.id SET t.x = 1; UPDATE t NATURAL LEFT JOIN s SET t.x = 1", "SQL002 SQL002 SQL002 SQL002 SQL002 SQL002 SQL002 SQL002"},
		{"joins of other tables", "UPDATE t SET x = s.x FROM s JOIN u ON s.id = u.id; DELETE FROM t USING s JOIN u ON s.id = u.id; UPDATE t SET x = (SELECT max(s.x) FROM s JOIN u ON s.id = u.id)", "SQL002 SQL002 SQL002"},
		{"merge", "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.d = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)", ""},
		{"foreign keys", "CREATE TABLE t (a INT REFERENCES u (a) ON DELETE CASCADE ON UPDATE SET NULL, b TIMESTAMP DEFAULT now() ON UPDATE CURRENT_TIMESTAMP)", "SQL011 SQL013 SQL014"},
		{"upsert", "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2; INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = NULL", ""},
		{"for update", "SELECT a FROM t WHERE b = 1 FOR UPDATE", ""},
		{"grants", "GRANT DELETE ON t TO u; GRANT UPDATE (a) ON t TO u", ""},
		{"trigger", "CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW SET NEW.a = NULL; CREATE TRIGGER y AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()", ""},
		{"trigger that deletes", "CREATE TRIGGER x AFTER DELETE ON t FOR EACH ROW DELETE FROM u", "SQL002"},
		{"Hive resources", "DELETE JAR x.jar; UPDATE STATISTICS t", ""},
		{"names", "SELECT t.delete, u.update FROM t; ALTER TABLE t ENABLE TRIGGER x", ""},
		{"ClickHouse mutation", "ALTER TABLE t DELETE WHERE a = 1; ALTER TABLE t UPDATE a = NULL WHERE b = 1", ""},

		// routines
		{"routine with DELIMITER", "DELIMITER //\nCREATE PROCEDURE p(IN x INT)\nBEGIN\n  DECLARE done INT DEFAULT 0;\n  DECLARE c CURSOR FOR SELECT id FROM t WHERE a = 1;\n  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;\n  SET @v = NULL;\n  IF x > 1 THEN\n    DELETE FROM t WHERE id = x;\n  ELSE\n    UPDATE t SET a = NULL WHERE id = x;\n  END IF;\n  label1: LOOP FETCH c INTO x; LEAVE label1; END LOOP;\n  WHILE x > 0 DO SET x = x - 1; END WHILE;\nEND //\nDELIMITER ;\nSELECT a FROM t;", ""},
		{"routine that deletes all", "DELIMITER $$\nCREATE PROCEDURE p() BEGIN IF 1 THEN DELETE FROM t; END IF; UPDATE u SET a = 1; END$$\nDELIMITER ;", "SQL002 SQL002"},
		{"routine in PL/SQL", "CREATE OR REPLACE PROCEDURE p IS\n  v NUMBER;\n  w VARCHAR2(10) := NULL;\nBEGIN\n  v := 1;\n  FOR r IN (SELECT a FROM t) LOOP\n    UPDATE t SET a = NULL WHERE b = r.a;\n  END LOOP;\nEXCEPTION WHEN OTHERS THEN NULL;\nEND;\n/\n", ""},
		{"routine in a package", "CREATE PACKAGE BODY p AS\n PROCEDURE q IS\n BEGIN\n DELETE FROM t;\n END q;\n PROCEDURE r IS BEGIN DELETE FROM t WHERE a = 1; END r;\nEND p;\n/", "SQL002"},
		{"dump of a trigger", "DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`%`*/ /*!50003 TRIGGER a BEFORE UPDATE ON t FOR EACH ROW BEGIN\n SET NEW.x = NULL;\n UPDATE u SET a = 1;\nEND */;;\nDELIMITER ;", "SQL002"},
		{"event", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", "SQL002"},
		{"policies and rules", "CREATE POLICY p ON t FOR DELETE USING (a = 1); CREATE RULE r AS ON DELETE TO t DO INSTEAD UPDATE t SET x = 1 WHERE id = OLD.id; ALTER DEFAULT PRIVILEGES GRANT DELETE, UPDATE ON TABLES TO x", ""},
		{"routine in dollar quotes", "CREATE FUNCTION f() RETURNS trigger AS $$\nBEGIN\n  DELETE FROM t; it's\nEND;\n$$ LANGUAGE plpgsql;", ""},
		{"T-SQL check", "IF OBJECT_ID('t') IS NOT NULL DROP TABLE t\nGO\nDELETE FROM t\nGO\nSELECT a FROM t WHERE b = 1", "SQL002"},

		// SQL009
		{"insert", "INSERT INTO t VALUES (1)", "SQL009"},
		{"insert into table", "INSERT INTO TABLE db.t SELECT a FROM u", "SQL009"},
		{"insert into partition", "INSERT INTO t PARTITION (dt = '${d}') SELECT a FROM u", "SQL009"},
		{"insert of a bracketed query", "INSERT INTO t (SELECT a FROM u)", "SQL009"},
		{"insert ignore", "INSERT IGNORE INTO `t` VALUES (1)", "SQL009"},
		{"multi insert", "FROM s INSERT INTO TABLE a SELECT x INSERT OVERWRITE TABLE b SELECT y INSERT INTO TABLE c (z) SELECT z", "SQL009 SQL006"},
		{"with columns", "INSERT INTO t (a) VALUES (1); INSERT INTO t(a) SELECT a FROM u; INSERT INTO ${db}.t_${x} (a) VALUES (1); INSERT INTO t PARTITION (dt) (a, dt) SELECT a, b FROM u; INSERT INTO t AS x (a) VALUES (1)", ""},
		{"columns otherwise", "INSERT INTO t SET a = 1; INSERT INTO t DEFAULT VALUES; INSERT INTO t BY NAME SELECT a FROM u; INSERT INTO t {{ cols }} SELECT a FROM u", ""},
		{"overwrite", "INSERT OVERWRITE TABLE t SELECT a FROM u; INSERT OVERWRITE t PARTITION (dt) SELECT a FROM u; INSERT OVERWRITE DIRECTORY '/x' SELECT a FROM u", "SQL006 SQL007"},
		{"insert function", "SELECT INSERT('abc', 1, 1, 'x') FROM t", ""},

		// SQL010, SQL012
		{"drop", "DROP TABLE t; DROP VIEW v; DROP TEMPORARY TABLE x; DROP FUNCTION f", "SQL010 SQL010 SQL010 SQL010"},
		{"drop if exists", "DROP TABLE IF EXISTS t; DROP MATERIALIZED VIEW IF EXISTS v; DROP TABLE {{ if_exists }} t", ""},
		{"drop index in MySQL", "DROP INDEX i ON t; ALTER TABLE t DROP COLUMN a", ""},
		{"drop database", "DROP DATABASE IF EXISTS d CASCADE", "SQL012"},
		{"drop schema", "DROP SCHEMA d", "SQL010 SQL012"},
		{"truncate", "TRUNCATE TABLE t; TRUNCATE t", "SQL012 SQL012"},
		{"truncate function", "SELECT TRUNCATE(a, 2) FROM t", ""},
		{"drop partition", "ALTER TABLE t DROP IF EXISTS PARTITION (dt = '1'); ALTER TABLE t DROP PARTITION p0; ALTER TABLE t TRUNCATE PARTITION p0", "SQL012 SQL012 SQL012"},
		{"add partition", "ALTER TABLE t ADD IF NOT EXISTS PARTITION (dt = '1')", ""},
		{"cascade", "DROP TABLE IF EXISTS t CASCADE; ALTER TABLE t DROP CONSTRAINT c CASCADE", "SQL012 SQL012"},
		{"cascade that drops nothing", "ALTER TABLE t ADD COLUMNS (a INT) CASCADE; ALTER TABLE t DROP COLUMN a, ADD FOREIGN KEY (b) REFERENCES u (b) ON DELETE CASCADE", ""},

		// SQL019
		{"= NULL", "SELECT a FROM t WHERE a = NULL OR b <> NULL AND c != NULL", "SQL019 SQL019 SQL019"},
		{"= NULL in a join", "SELECT a FROM t JOIN u ON t.a = u.a AND u.b = NULL", "SQL037 SQL019"},
		{"= NULL in CASE and IF", "SELECT CASE WHEN a = NULL THEN 1 END, IF(b = NULL, 1, 2) FROM t", "SQL019 SQL019"},
		{"= NULL in HAVING and brackets", "SELECT a FROM t GROUP BY a HAVING (max(b) = NULL)", "SQL019"},
		{"= NULL in UPDATE … WHERE", "UPDATE t SET a = NULL, b = NULL WHERE c = NULL", "SQL019"},
		{"assignments", "UPDATE t SET a = CASE WHEN b = 1 AND c THEN 1 END, d = NULL WHERE e = 1; SET x = NULL; SET @y = NULL", ""},
		{"assignments behind a join", "UPDATE t JOIN u ON t.a = u.a AND t.b = 1 SET t.c = NULL WHERE t.d = 1", ""},
		{"assignments in MERGE", "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.a = 1 THEN UPDATE SET b = NULL, c = NULL", ""},
		{"null-safe and IS", "SELECT a FROM t WHERE a <=> NULL AND b IS NULL AND c = NULLIF(d, 1)", ""},
		{"options", "CREATE TABLE IF NOT EXISTS t (a INT NOT NULL) OPTIONS (x = NULL, y = NULL)", "SQL013 SQL014"},
		{"parameters", "IF @x = 1 EXEC p @a = NULL, @b = NULL", ""},

		// SQL021
		{"in null", "SELECT a FROM t WHERE a IN (NULL)", "SQL021"},
		{"not in null", "SELECT a FROM t WHERE a NOT IN (1, NULL, 2)", "SQL021"},
		{"in a query or a function", "SELECT a FROM t WHERE a IN (SELECT NULL FROM u) AND b IN (coalesce(c, NULL))", ""},
		{"list partition", "CREATE TABLE t (a INT) PARTITION BY LIST (a) (PARTITION p VALUES IN (NULL))", "SQL011 SQL013 SQL014"},

		// SQL024
		{"union", "SELECT a FROM t UNION SELECT a FROM u", "SQL024"},
		{"union in brackets", "(SELECT a FROM t) UNION (SELECT a FROM u)", "SQL024"},
		{"union all", "SELECT a FROM t UNION ALL SELECT a FROM u UNION DISTINCT SELECT a FROM v", ""},
		{"union by template", "SELECT a FROM t UNION {{ all }} SELECT a FROM u", ""},
		{"merge tables", "CREATE TABLE t (a INT) ENGINE=MERGE UNION=(t1, t2)", "SQL011 SQL013 SQL014"},

		// SQL027, SQL033
		{"one count distinct", "SELECT COUNT(DISTINCT a) FROM t; SELECT COUNT(DISTINCT a) FROM t", ""},
		{"three", "SELECT COUNT(DISTINCT a), count ( distinct b), COUNT(DISTINCT c) FROM t", "SQL027"},
		{"like", "SELECT a FROM t WHERE a LIKE '%x' OR b NOT LIKE \"_x\" OR c LIKE concat('%', 'x') OR d ILIKE ANY ('a%', '%b')", "SQL033 SQL033 SQL033 SQL033"},
		{"like, anchored", "SELECT a FROM t WHERE a LIKE 'x%' OR b LIKE '\\%x' OR c LIKE '${x}%' OR d LIKE concat(e, '%')", ""},
		{"show", "SHOW TABLES LIKE '%x%'; CREATE TABLE a LIKE b", "SQL011"},

		// SQL035
		{"full width", "SELECT a，b FROM t WHERE c ＝ 1；", "SQL035 SQL035 SQL035"},
		{"full width in its place", "SELECT '，' AS `（）`, \"，\" AS 金额 FROM t /* ， */ -- 。", ""},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, strings.Join(found(t, c.text), " "), c.text) })
	}
}

func TestSecrets(t *testing.T) {
	for _, text := range []string{
		"CREATE USER u IDENTIFIED BY 'hunter2x'",
		"CREATE USER u IDENTIFIED WITH mysql_native_password BY 'hunter2x'",
		"CREATE USER u IDENTIFIED BY hunter2x",
		"ALTER ROLE r WITH LOGIN ENCRYPTED PASSWORD 'hunter2x'",
		"SET PASSWORD FOR 'u'@'h' = 'hunter2x'",
		"SET PASSWORD = PASSWORD('hunter2x')",
		"CREATE TABLE t (a INT) WITH ('connector' = 'jdbc', 'password' = 'hunter2x')",
		`CREATE EXTERNAL TABLE t (a INT) PROPERTIES ("user"="u", "password" = "hunter2x")`,
		"CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'u', password 'hunter2x')",
		"SET fs.s3a.secret.key=hunter2x;",
		"SET fs.oss.accessKeySecret=hunter2x",
		"SET 'fs.s3a.access.key' = 'hunter2x'",
		"SET odps.password='hunter2x'",
		"UPDATE conf SET password = 'hunter2x' WHERE id = 1",
		"SELECT a FROM t WHERE name = 'x' AND password = 'hunter2x'",
		"SELECT 'jdbc:mysql://h:3306/d?user=u&password=hunter2x&x=1' AS url FROM t",
		"-- jdbc:mysql://h/d?password=hunter2x\nSELECT a FROM t",
		"-- jdbc:oracle:thin:@//h:1521/d?password=hunter2x\nSELECT a FROM t",
		"SELECT 'mysql://u:hunter2x@h/d' AS url",
		"SELECT a FROM s3('https://b', 'AKIAHUNTER2XHUNTER2X', 'x')",
		"/* LTAI4hunter2xhunter2x */ SELECT 1",
		"frobnicate with password = 'hunter2x'",
		"SELECT 'jdbc:hive2://h:1/d;user=u;password=hunter2x' AS url",
		"SET @password = 'hunter2x'",
		"SET @n = 1, @db_pwd := 'hunter2x'",
		"EXEC login @user = 'u', @password = 'hunter2x'",
		"CREATE TABLE t (a Int32) ENGINE=MySQL('h:3306','db','t','user','hunter2x')",
		"CREATE TABLE t (a Int32) ENGINE = PostgreSQL('h:5432', 'db', 't', 'user', 'hunter2x', 'public')",
		"CREATE DATABASE d ENGINE = MySQL('h:3306', 'db', 'user', 'hunter2x')",
		"SELECT a FROM mysql('h:3306', 'db', t, 'user', 'hunter2x')",
		"INSERT INTO FUNCTION postgresql(concat('h', ':5432'), 'db', 't', 'user', 'hunter2x') (a) SELECT a FROM t",
	} {
		got := look(t, "a.sql", text)
		secrets := 0
		for _, f := range got.findings {
			if f.Rule == "SQL034" {
				secrets++
			}
			require.NotContains(t, strings.ToLower(f.Message.En+f.Message.Zh+f.Anchor), "hunter2x")
		}
		require.Equal(t, 1, secrets, text)
		for _, d := range got.degraded {
			require.NotContains(t, d.En+d.Zh, "hunter2x")
		}
	}
	for _, text := range []string{
		"CREATE USER u IDENTIFIED BY '${pw}'",
		"CREATE USER u IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'",
		"CREATE USER u IDENTIFIED WITH sha256_hash BY 'abcdef0123456789'",
		"CREATE USER u IDENTIFIED BY RANDOM PASSWORD",
		"CREATE USER u IDENTIFIED BY '******'; ALTER ROLE r PASSWORD ''; ALTER ROLE r PASSWORD NULL",
		"CREATE TABLE u (id INT, password VARCHAR(64) COMMENT '密码', token STRING COMMENT 'token')",
		"SELECT password AS pw, u.token, max(secret_key) FROM u WHERE token = 'abc' AND ak = 'x1' AND password <> '' AND password IS NOT NULL",
		"SELECT password 'alias', CASE WHEN k = 'password' THEN 'no' END FROM u",
		"SELECT a FROM u WHERE password = '5f4dcc3b5aa765d61d8327deb882cf99' OR password = :pw OR password = '{{ pw }}'",
		"SET hive.exec.mode=nonstrict; SET a.password=${pw}; SET a.password.enabled=true; SET x.secret.key=<secret>",
		"CREATE TABLE t (a INT) WITH ('password' = '${env:PW}', 'user' = 'root')",
		"COMMENT ON COLUMN u.password IS '登录密码'",
		"SELECT 'jdbc:mysql://h/d?user=u&password=${pw}', 'https://h:8080/x@y', 'http://u:${pw}@h' FROM t",
		"SELECT 'AKIA', 'AKIDnotakey' FROM t -- LTAI",
		"INSERT INTO u (name, password) VALUES ('a', '${pw}')",
		"SET @password = '${pw}'; SET @password = NULL; SET @password = :pw; SET @n = 'x12'; SELECT a FROM u WHERE password = @password",
		"CREATE TABLE t (a Int32) ENGINE=MySQL('h:3306','db','t','user','${pw}'); CREATE TABLE t (a Int32) ENGINE=MySQL('h:3306','db','t','user','[HIDDEN]')",
		"SELECT a FROM mysql('h:3306', 'db', 't', 'user', getenv('PW')); SELECT a FROM mysql(creds, 'table'); SELECT a, mysql(), postgresql('a','b','c','d', concat('e1','f2')) FROM t",
		"CREATE DATABASE d ENGINE = MySQL('h:3306', 'db', 'user', '${pw}', 'setting'); CREATE TABLE mysql (a Int32, b Int32)",
	} {
		require.NotContains(t, found(t, text), "SQL034", text)
	}
}

func TestSeverityGrowsWithCountDistincts(t *testing.T) {
	many := func(n int) report.Finding {
		got := look(t, "a.sql", "SELECT COUNT(DISTINCT a)"+strings.Repeat(", COUNT(DISTINCT b)", n-1)+" FROM t")
		require.Len(t, got.findings, 1)
		return got.findings[0]
	}
	require.Equal(t, report.Warning, many(10).Severity)
	require.Equal(t, report.Error, many(11).Severity)
}

func TestSuppression(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"line", "SELECT * FROM t; -- noqa: SQL001 reason=one-off\nSELECT * FROM t;", "(SQL001) SQL001"},
		{"several", "INSERT INTO t SELECT * FROM u -- noqa: SQL001, SQL009", "(SQL009) (SQL001)"},
		{"another rule", "SELECT * FROM t -- noqa: SQL002", "SQL001 SUP001"},
		{"ids are required", "SELECT * FROM t -- noqa\n;SELECT * FROM t -- noqa: all\n", "SQL001 SQL001"},
		{"words are no ids", "SELECT * FROM t -- noqa: because SQL001", "SQL001"},
		{"range", "SELECT * FROM t;\n-- noqa: disable=SQL001\nSELECT * FROM t;\nDELETE FROM t;\n-- noqa: enable=all\nSELECT * FROM t;", "SQL001 (SQL001) SQL002 SQL001"},
		{"all", "-- noqa: disable=all\nSELECT * FROM t; DELETE FROM t;\n-- noqa: enable=SQL002\nDELETE FROM t; SELECT * FROM t", "(SQL001) (SQL002) SQL002 (SQL001)"},
		{"security", "CREATE USER u IDENTIFIED BY 'hunter2x' -- noqa: SQL034", "SQL034 SUP001"},
		{"security, all", "-- noqa: disable=all\nCREATE USER u IDENTIFIED BY 'hunter2x'", "SQL034"},
		{"unused, and a rule that does not exist", "SELECT a FROM t; -- noqa: SQL001,SQL099 reason=x\n", "SUP001 SUP001"},
		{"unused, for all", "-- noqa: disable=all\nSELECT a FROM t; -- noqa: enable=SQL001", ""},
		{"unused, but not all was checked", "SELECT a FROM t; -- noqa: SQL001\nFROBNICATE x;", ""},
		{"in a string", "SELECT * FROM t WHERE a = '-- noqa: SQL001'", "SQL001"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, strings.Join(found(t, c.text), " ")) })
	}
}

func TestASuppressionKeepsItsReason(t *testing.T) {
	f := look(t, "a.sql", "SELECT * FROM t -- noqa: SQL001 reason=one-off export").findings[0]
	require.Equal(t, &report.Suppression{Kind: report.InSource, Reason: "one-off export"}, f.Suppression)
	f = look(t, "a.sql", "SELECT * FROM t -- noqa: SQL001 reason=see mysql://u:hunter2x@h/d").findings[0]
	require.Equal(t, &report.Suppression{Kind: report.InSource}, f.Suppression, "a secret is not repeated")
}

func TestAnchorsSurviveMovesAndLiterals(t *testing.T) {
	before := look(t, "a.sql", "DELETE FROM a;\nSELECT * FROM t WHERE d = '1';\nselect * from T where d = '2';")
	after := look(t, "a.sql", "-- new\n\n\nSELECT * FROM t\n  WHERE d = '9';\nSELECT * FROM t WHERE d = '3';")
	require.Equal(t, before.findings[1].Anchor, after.findings[0].Anchor)
	require.Equal(t, before.findings[2].Anchor, after.findings[1].Anchor)
	require.NotEqual(t, before.findings[1].Anchor, before.findings[2].Anchor)
	require.NotEqual(t, before.findings[0].Anchor, before.findings[1].Anchor)
}

func TestPlacesCountRunes(t *testing.T) {
	f := look(t, "a.sql", "-- 注\r\nSELECT '金额' a, * FROM t;\rDELETE\nFROM t").findings
	require.Equal(t, [4]int{2, 16, 2, 17}, [4]int{f[0].Line, f[0].Column, f[0].EndLine, f[0].EndColumn})
	require.Equal(t, [4]int{3, 1, 3, 7}, [4]int{f[1].Line, f[1].Column, f[1].EndLine, f[1].EndColumn})
}

func TestWhatIsNotUnderstoodIsCoverage(t *testing.T) {
	got := look(t, "a.sql", "SELECT a FROM t;\nFROBNICATE t;\nzap x;")
	require.Empty(t, got.findings)
	require.Equal(t, []report.Text{{En: "2 statement(s) not understood, the first in line 2", Zh: "2 条语句无法识别，首条在第 2 行"}}, got.degraded)
	require.NotEmpty(t, look(t, "a.sql", "CREATE FUNCTION f() RETURNS int AS $$ DELETE FROM t $$ LANGUAGE sql").degraded)
	for _, text := range []string{
		"", "-- nothing", ";;;", "{{ config(x=1) }}", "{{ config(x=1) }}\nSELECT a FROM t", "set hive.x=1;\nuse db;\nmsck repair table t",
		"@a := SELECT b FROM t", "BEGIN; UPDATE t SET a = 1 WHERE b = 1; COMMIT;", "(SELECT a FROM t) UNION ALL (SELECT a FROM u)",
		"CREATE OR REPLACE PROCEDURE p IS\n v NUMBER;\nBEGIN\n foo(1);\n v := 2;\nEND p;\n/\nSELECT 1;", "dfs -ls /;\n!echo x\nADD JAR a.jar;",
		"CREATE OR REPLACE PACKAGE BODY p AS\n  PROCEDURE q IS\n  BEGIN\n    x(1);\n  END q;\n  FUNCTION f RETURN NUMBER IS\n    v NUMBER;\n  BEGIN\n    RETURN 1;\n  END f;\nEND p;\n/\nSELECT 1;",
		"CREATE TEMPORARY FUNCTION f AS 'com.x.F' USING JAR 'hdfs:///a.jar'; SELECT f(a) FROM t",
	} {
		require.Empty(t, look(t, "a.sql", text).degraded, text)
	}
}

func TestAStatementTooLongIsCoverage(t *testing.T) {
	got := look(t, "a.sql", "SELECT * FROM t WHERE a IN (1"+strings.Repeat(",1", maxTokens/2)+"); DELETE FROM t;")
	require.Len(t, got.findings, 1)
	require.Equal(t, "SQL002", got.findings[0].Rule)
	require.Equal(t, []report.Text{{En: "1 statement(s) too long to check, the first in line 1", Zh: "1 条语句过长，未检查，首条在第 1 行"}}, got.degraded)
}

func TestAFloodOfFindingsIsCut(t *testing.T) {
	got := look(t, "a.sql", strings.Repeat("DELETE FROM t;", 2*maxHits))
	require.Len(t, got.findings, maxHits)
	require.Len(t, got.degraded, 1)
}

func TestAnalysisEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := New().(*scanner)
	_, _, err := newAnalyst(s.rules, s.settings).survey(ctx, "a.sql", "SELECT a;", nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWorkIsLinear(t *testing.T) {
	const n = 1 << 14
	for _, unit := range []string{
		"(", ")", "()", "[", "SELECT ", "SELECT * ", "SELECT (", "SELECT *,", "a,", "*", "FROM ", "UNION ", "WITH x AS (SELECT ", "AS (",
		"IN (", "IN (NULL) ", "IN (NULL,", "LIKE (", "LIKE '%' ", "LIKE ANY (", "INSERT INTO ", "INSERT INTO t ", "DELETE ", "(DELETE FROM t) ",
		"AS (DELETE FROM t) ", "UPDATE t SET ", "DROP ", "CASCADE ", "IF ", "IF x THEN ", "BEGIN ", "ELSE ", "DECLARE ", "a: LOOP ", "CREATE ", "CREATE FUNCTION ",
		"WHEN ", "CASE ", "= NULL ", "'password'=", "password ", "IDENTIFIED BY ", "://", "://a:b@", "jdbc:", "AKIA", "'", "' ", "a.", "{{x}}", "${x}", "/*", "$a$ ",
		"SELECT a.* FROM b UNION ALL ", ";", "，", "-- noqa: SQL001\n", "-- noqa: disable=SQL001\nSELECT * FROM t;\n", "EXISTS (", "(SELECT ", "@a:=",
		"COUNT(DISTINCT a),", "PARTITION (", "x JOIN y,", "JOIN ", "JOIN a ON ", "DELETE a FROM b JOIN ", "(DELETE a FROM b JOIN c ON d) ", "mysql(", "mysql(1,2,3,4,5) ", "@password=", "(SELECT * FROM x),",
		"a JOIN b ON a.x = b.x ", ", t", ", t a", "a.x = b.x AND ", "(a.x = b.x AND ", "x NOT IN (SELECT a FROM t WHERE ", "SELECT a FROM t WHERE a IN (", "CASE WHEN a THEN ", "UNION ALL SELECT a, b FROM c ",
		"x AS (SELECT a FROM x), ", "INSERT OVERWRITE TABLE ods_a SELECT b FROM ads_c ", "INSERT INTO a (b, c) SELECT d FROM e ", "LATERAL VIEW f(a) b AS c, d ", "LEFT JOIN a ON ", "(a JOIN ", "((SELECT a FROM b) UNION ",
		"CREATE TABLE dwd_a (b STRING) PARTITIONED BY (c STRING); SELECT b FROM dwd_a; ", "BETWEEN a AND ", "nvl(a.b, 1) = c.d AND ", "ORDER BY a LIMIT ", "dt = '20240101' AND ", "substr(dt, 1, 2) = ", "x.y.z = ", "${x} AND ",
	} {
		for _, head := range []string{"", "SELECT a FROM t WHERE ", "SELECT a FROM t a JOIN u b ON ", "WITH ", "SELECT a.b FROM ", "FROM t ", "CREATE TABLE a (", "INSERT INTO ads_a (b) SELECT c FROM ods_d WHERE e IN (", "WITH a AS (SELECT b) SELECT * FROM ", "ALTER TABLE t ", "WITH a AS (SELECT 1) DELETE FROM t ", "SELECT "} {
			text := head + strings.Repeat(unit, n/len(unit))
			got := look(t, "a.sql", text)
			assert.Less(t, got.steps, 600*n, "%s%q…", head, unit)
			closed := head + strings.Repeat(unit, n/len(unit)/2)
			closed += strings.Repeat(")", strings.Count(closed, "(")) + ";"
			assert.Less(t, look(t, "a.sql", closed).steps, 600*n, "%s%q…) closed", head, unit)
		}
	}
}

func FuzzAnalyse(f *testing.F) {
	for _, r := range catalogued() {
		f.Add(r.Bad)
		f.Add(r.Good)
	}
	for _, seed := range []string{
		"WITH x AS (SELECT 1) SELECT x.* FROM x JOIN (SELECT * FROM y) z ON a = NULL", "DELIMITER //\nCREATE PROCEDURE p() BEGIN DELETE FROM t; END//\n",
		"SET a.password=x; SET PASSWORD FOR u = 'abc'", "INSERT INTO t PARTITION (", "INSERT INTO t PARTITION", "DROP", "DROP TABLE", "ALTER TABLE t DROP", "TRUNCATE",
		"DELETE", "UPDATE", "IF", "DECLARE a CURSOR FOR", "x := ", "@a := ", "a: BEGIN", "LIKE ANY (", "SELECT *", "SELECT a.", ".*", "'password'='x", "\"", "E'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := look(t, "a.sql", text)
		line := 0
		for _, f := range got.findings {
			if f.Line < line || f.Line < 1 || f.Column < 1 || f.EndLine < f.Line || f.EndLine == f.Line && f.EndColumn <= f.Column || f.Anchor == "" {
				t.Fatalf("%q: %+v", text, f)
			}
			line = f.Line
		}
	})
}
