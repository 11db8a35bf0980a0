package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// rulesVersion changes whenever a rule, the lexer or the splitter could find
// something else in the same text.
const rulesVersion = "3"

// rule is an entry of the table of rules.
type rule struct {
	report.Rule

	// on: the check runs only on statements in which one of these occurs, and
	// onKinds likewise for kinds of tokens. Neither means all statements.
	on      []lex.Keyword
	onKinds []lex.Kind
	// check looks at one statement. A rule without a check is raised by the way
	// of the file itself.
	check func(*Statement, *hits)
	// anywhere: the check needs no structure and also looks at statements that
	// were not understood as a whole.
	anywhere bool
}

// table is the table of rules about SQL, in the order of their ids.
func table() []rule {
	return []rule{
		{
			Rule: report.Rule{
				ID: unclosedRule, Severity: report.Error,
				Message:   report.Text{En: "Opened here and never closed; close it.", Zh: "此处打开后未闭合，请补全。"},
				Rationale: report.Text{En: "What follows an unclosed string, comment or bracket is read as something else than was meant.", Zh: "字符串、注释或括号未闭合时，其后的内容会被误读。"},
				Bad:       "SELECT 'abc FROM t;\n", Good: "SELECT 'abc' FROM t;\n", Syntax: "sql",
			},
		},
		{
			Rule: report.Rule{
				ID: "SQL001", Severity: report.Warning,
				Message:   report.Text{En: "SELECT * takes whatever columns the table happens to have; list the columns.", Zh: "SELECT * 依赖表的现有列，请列出所需字段。"},
				Rationale: report.Text{En: "A column added or moved upstream silently changes the result, and columnar storage reads more than needed.", Zh: "上游增删或调整列会悄悄改变结果，列式存储也会多读数据。"},
				Bad:       "SELECT * FROM dwd_order;\n", Good: "SELECT order_id, amount FROM dwd_order;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Select}, check: selectStar,
		},
		{
			Rule: report.Rule{
				ID: "SQL002", Severity: report.Error,
				Message:   report.Text{En: "No WHERE: every row of the table is hit; add a condition.", Zh: "缺少 WHERE，将影响全表数据，请添加条件。"},
				Rationale: report.Text{En: "A DELETE or UPDATE without a condition destroys a whole table and cannot be taken back.", Zh: "没有条件的 DELETE/UPDATE 会破坏整张表且难以恢复。"},
				Bad:       "DELETE FROM dim_user;\n", Good: "DELETE FROM dim_user WHERE dt = '${bizdate}';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Delete, lex.Update}, check: changeWithoutWhere,
		},
		{
			Rule: report.Rule{
				ID: "SQL003", Severity: report.Error,
				Message:   report.Text{En: "No condition links this table with the others: every row meets every row; join on a key.", Zh: "该表与其他表之间没有关联条件，会产生笛卡尔积，请按键关联。"},
				Rationale: report.Text{En: "A cartesian product grows with the product of the tables and has stopped whole clusters.", Zh: "笛卡尔积的结果是各表行数之积，足以拖垮整个集群。"},
				Bad:       "SELECT a.id, b.name FROM dwd_order a, dim_user b WHERE a.dt = '${bizdate}';\n",
				Good:      "SELECT a.id, b.name FROM dwd_order a, dim_user b WHERE a.user_id = b.id;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.From}, check: cartesian,
		},
		{
			Rule: report.Rule{
				ID: "SQL004", Severity: report.Error,
				Message:   report.Text{En: "A partitioned table is read without a condition on its partitions; filter by the partition column.", Zh: "读取分区表时没有分区过滤条件，请按分区字段过滤。"},
				Rationale: report.Text{En: "Without it every partition ever written is read.", Zh: "缺少分区条件会扫描全部历史分区。"},
				Bad:       "CREATE TABLE IF NOT EXISTS dwd_order (id BIGINT) PARTITIONED BY (dt STRING) STORED AS ORC;\nSELECT id FROM dwd_order WHERE id > 10;\n",
				Good:      "CREATE TABLE IF NOT EXISTS dwd_order (id BIGINT) PARTITIONED BY (dt STRING) STORED AS ORC;\nSELECT id FROM dwd_order WHERE dt = '${bizdate}';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.From}, check: partitionFilter,
		},
		{
			Rule: report.Rule{
				ID: "SQL005", Severity: report.Warning,
				Message:   report.Text{En: "A function around the partition column may read all partitions; compare the bare column.", Zh: "分区字段上使用函数可能导致分区裁剪失效，请直接比较分区字段。"},
				Rationale: report.Text{En: "Engines prune partitions by the bare column; many give up at a function.", Zh: "引擎按分区字段本身裁剪，套上函数后往往无法裁剪。"},
				Bad:       "-- dialect: hive\nSELECT id FROM dwd_order WHERE substr(dt, 1, 6) = '${month}';\n",
				Good:      "-- dialect: hive\nSELECT id FROM dwd_order WHERE dt >= '${month}01' AND dt <= '${month}31';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Where}, check: functionOnPartition,
		},
		{
			Rule: report.Rule{
				ID: "SQL006", Severity: report.Error,
				Message:   report.Text{En: "INSERT OVERWRITE without PARTITION replaces all partitions of the table; name the partition.", Zh: "INSERT OVERWRITE 未指定 PARTITION，将覆盖该表全部分区，请指定分区。"},
				Rationale: report.Text{En: "One day's run would destroy all days before it.", Zh: "一次运行会清掉所有历史分区。"},
				Bad:       "CREATE TABLE IF NOT EXISTS dwd_order (id BIGINT) PARTITIONED BY (dt STRING) STORED AS ORC;\nINSERT OVERWRITE TABLE dwd_order SELECT id, dt FROM ods_order WHERE dt = '${bizdate}';\n",
				Good:      "CREATE TABLE IF NOT EXISTS dwd_order (id BIGINT) PARTITIONED BY (dt STRING) STORED AS ORC;\nINSERT OVERWRITE TABLE dwd_order PARTITION (dt = '${bizdate}') SELECT id FROM ods_order WHERE dt = '${bizdate}';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Overwrite}, check: overwriteWithoutPartition,
		},
		{
			Rule: report.Rule{
				ID: "SQL007", Severity: report.Warning,
				Message:   report.Text{En: "All partitions are dynamic, and the file does not SET hive.exec.dynamic.partition.mode=nonstrict; add that, or give one a value.", Zh: "全部为动态分区，但文件未设置 hive.exec.dynamic.partition.mode=nonstrict，请补充设置或指定静态分区。"},
				Rationale: report.Text{En: "In Hive's strict mode such an INSERT is refused.", Zh: "Hive 严格模式会拒绝此类写入。"},
				Bad:       "-- dialect: hive\nINSERT OVERWRITE TABLE dwd_order PARTITION (dt) SELECT id, dt FROM ods_order WHERE dt >= '${bizdate}';\n",
				Good:      "-- dialect: hive\nSET hive.exec.dynamic.partition.mode=nonstrict;\nINSERT OVERWRITE TABLE dwd_order PARTITION (dt) SELECT id, dt FROM ods_order WHERE dt >= '${bizdate}';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Insert}, check: dynamicPartitionStrict,
		},
		{
			Rule: report.Rule{
				ID: "SQL008", Severity: report.Error,
				Message:   report.Text{En: "The INSERT lists another number of columns than it is given; make them alike.", Zh: "INSERT 的列数与写入的值数不一致，请保持一致。"},
				Rationale: report.Text{En: "The statement fails, or fills the wrong columns.", Zh: "语句会失败，或写入错误的列。"},
				Bad:       "INSERT INTO dim_user (id, name) SELECT id FROM ods_user;\n",
				Good:      "INSERT INTO dim_user (id, name) SELECT id, name FROM ods_user;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Insert}, check: insertArity,
		},
		{
			Rule: report.Rule{
				ID: "SQL009", Severity: report.Warning,
				Message:   report.Text{En: "INSERT INTO without a column list; name the columns.", Zh: "INSERT INTO 未指定列清单，请写明列名。"},
				Rationale: report.Text{En: "Values go to columns by position: a new column in the target shifts them or breaks the load.", Zh: "按位置写入，目标表加列后会错位或报错。"},
				Bad:       "INSERT INTO dim_user VALUES (1, 'a');\n", Good: "INSERT INTO dim_user (id, name) VALUES (1, 'a');\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Insert}, check: insertWithoutColumns,
		},
		{
			Rule: report.Rule{
				ID: "SQL010", Severity: report.Warning,
				Message:   report.Text{En: "DROP without IF EXISTS fails when run again; add IF EXISTS.", Zh: "DROP 未加 IF EXISTS，重复执行会失败，请补充。"},
				Rationale: report.Text{En: "Delivery scripts are run again after failures and have to be repeatable.", Zh: "发布脚本失败后会重跑，必须可重复执行。"},
				Bad:       "DROP TABLE tmp_order;\n", Good: "DROP TABLE IF EXISTS tmp_order;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Drop}, check: dropWithoutIfExists,
		},
		{
			Rule: report.Rule{
				ID: "SQL011", Severity: report.Note,
				Message:   report.Text{En: "CREATE TABLE without IF NOT EXISTS fails when run again; add IF NOT EXISTS.", Zh: "CREATE TABLE 未加 IF NOT EXISTS，重复执行会失败，请补充。"},
				Rationale: report.Text{En: "Delivery scripts are run again after failures and have to be repeatable.", Zh: "发布脚本失败后会重跑，必须可重复执行。"},
				Bad:       "CREATE TABLE dim_user (id BIGINT COMMENT '主键') COMMENT '用户';\n",
				Good:      "CREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键') COMMENT '用户';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Create}, check: createWithoutIfNotExists,
		},
		{
			Rule: report.Rule{
				ID: "SQL012", Severity: report.Error,
				Message:   report.Text{En: "This destroys data beyond recovery and needs approval.", Zh: "该操作会不可恢复地删除数据，需要审批。"},
				Rationale: report.Text{En: "Dropping databases or partitions, truncating and cascading destroy more than one object at once.", Zh: "删库、清表、删分区和级联删除一次会破坏大量数据。"},
				Bad:       "TRUNCATE TABLE dwd_order;\n", Good: "INSERT OVERWRITE TABLE dwd_order PARTITION (dt = '${bizdate}') SELECT order_id FROM ods_order;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Drop, lex.Truncate}, check: destructive,
		},
		{
			Rule: report.Rule{
				ID: "SQL013", Severity: report.Warning,
				Message:   report.Text{En: "The table has no comment; add COMMENT.", Zh: "表缺少注释，请补充 COMMENT。"},
				Rationale: report.Text{En: "Nobody but its author knows what a table without a comment holds.", Zh: "没有注释的表，除作者外无人知晓其含义。"},
				Bad:       "CREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键');\n",
				Good:      "CREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键') COMMENT '用户维表';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Create}, check: tableComment,
		},
		{
			Rule: report.Rule{
				ID: "SQL014", Severity: report.Note,
				Message:   report.Text{En: "Columns without a comment; add COMMENT.", Zh: "存在缺少注释的字段，请补充 COMMENT。"},
				Rationale: report.Text{En: "Data catalogues show the comments; units and codes are known from nowhere else.", Zh: "数据目录直接展示字段注释，单位和码值只能从这里得知。"},
				Bad:       "CREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键', name STRING) COMMENT '用户维表';\n",
				Good:      "CREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键', name STRING COMMENT '姓名') COMMENT '用户维表';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Create}, check: columnComments,
		},
		{
			Rule: report.Rule{
				ID: "SQL015", Severity: report.Warning,
				Message:   report.Text{En: "The table's name does not say its layer; begin it with one, such as dwd_.", Zh: "表名未体现数据分层，请以层名开头，如 dwd_。"},
				Rationale: report.Text{En: "The layer tells what may read a table and how long it stays.", Zh: "分层决定了表可被谁读取、保留多久。"},
				Bad:       "-- dialect: hive\nCREATE TABLE IF NOT EXISTS order_detail (id BIGINT COMMENT '主键') COMMENT '订单' STORED AS ORC;\n",
				Good:      "-- dialect: hive\nCREATE TABLE IF NOT EXISTS dwd_order_detail (id BIGINT COMMENT '主键') COMMENT '订单' STORED AS ORC;\n", Syntax: "sql",
				Configure: report.Text{En: "layers.naming is the pattern of names; empty switches the rule off.", Zh: "layers.naming 为表名的正则，置空则不检查。"},
			},
			on: []lex.Keyword{lex.Create}, check: layerNaming,
		},
		{
			Rule: report.Rule{
				ID: "SQL016", Severity: report.Warning,
				Message:   report.Text{En: "A table reads from a layer it should not; go through the layers between.", Zh: "表的读取违反分层约定，请按分层顺序加工。"},
				Rationale: report.Text{En: "Layers that read backwards, or skip what was cleaned, make circles and contradicting figures.", Zh: "反向或跨层读取会造成循环依赖和口径不一致。"},
				Bad:       "INSERT OVERWRITE TABLE ads_report PARTITION (dt = '${bizdate}') SELECT id FROM ods_order WHERE dt = '${bizdate}';\n",
				Good:      "INSERT OVERWRITE TABLE ads_report PARTITION (dt = '${bizdate}') SELECT id FROM dws_order WHERE dt = '${bizdate}';\n", Syntax: "sql",
				Configure: report.Text{En: "layers.order lists the layers from the first to the last.", Zh: "layers.order 按先后列出各层。"},
			},
			on: []lex.Keyword{lex.Insert, lex.Create}, check: layerViolation,
		},
		{
			Rule: report.Rule{
				ID: "SQL017", Severity: report.Warning,
				Message:   report.Text{En: "The table does not say how it is stored; add STORED AS ORC, or USING.", Zh: "建表未指定存储格式，请添加 STORED AS ORC 或 USING。"},
				Rationale: report.Text{En: "The default is plain text: large, slow, and broken by a line end in a value.", Zh: "默认的文本格式体积大、速度慢，且字段含换行即错位。"},
				Bad:       "-- dialect: hive\nCREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键') COMMENT '用户';\n",
				Good:      "-- dialect: hive\nCREATE TABLE IF NOT EXISTS dim_user (id BIGINT COMMENT '主键') COMMENT '用户' STORED AS ORC;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Create}, check: storageFormat,
		},
		{
			Rule: report.Rule{
				ID: "SQL018", Severity: report.Note,
				Message:   report.Text{En: "The table keeps its data for ever; say for how long it is needed.", Zh: "表未设置生命周期，请按需设置保留时间。"},
				Rationale: report.Text{En: "Storage grows until somebody dares to delete.", Zh: "存储会持续增长，直到有人敢删。"},
				Bad:       "-- dialect: maxcompute\nCREATE TABLE IF NOT EXISTS dwd_order (id BIGINT COMMENT '主键') COMMENT '订单' PARTITIONED BY (ds STRING);\n",
				Good:      "-- dialect: maxcompute\nCREATE TABLE IF NOT EXISTS dwd_order (id BIGINT COMMENT '主键') COMMENT '订单' PARTITIONED BY (ds STRING) LIFECYCLE 365;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Create}, check: lifecycle,
		},
		{
			Rule: report.Rule{
				ID: "SQL019", Severity: report.Error,
				Message:   report.Text{En: "A comparison with NULL is never true; use IS NULL or IS NOT NULL.", Zh: "与 NULL 比较永远不为真，请使用 IS NULL 或 IS NOT NULL。"},
				Rationale: report.Text{En: "The condition silently selects nothing.", Zh: "该条件不会选中任何数据，且不报错。"},
				Bad:       "SELECT id FROM t WHERE a = NULL;\n", Good: "UPDATE t SET a = NULL WHERE b IS NOT NULL;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Null}, check: comparedWithNull,
		},
		{
			Rule: report.Rule{
				ID: "SQL020", Severity: report.Warning,
				Message:   report.Text{En: "NOT IN with a query selects nothing as soon as that yields one NULL; use NOT EXISTS or LEFT ANTI JOIN.", Zh: "NOT IN 子查询一旦出现 NULL 就会返回空集，请改用 NOT EXISTS 或 LEFT ANTI JOIN。"},
				Rationale: report.Text{En: "The result is empty without an error, and most engines also plan it badly.", Zh: "结果悄然变空且不报错，多数引擎的执行计划也很差。"},
				Bad:       "SELECT id FROM dwd_order WHERE user_id NOT IN (SELECT id FROM dim_user);\n",
				Good:      "SELECT id FROM dwd_order o WHERE NOT EXISTS (SELECT 1 FROM dim_user u WHERE u.id = o.user_id);\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.In}, check: notInQuery,
		},
		{
			Rule: report.Rule{
				ID: "SQL021", Severity: report.Error,
				Message:   report.Text{En: "NULL in an IN list never matches, and NOT IN then selects nothing; use IS NULL.", Zh: "IN 列表中的 NULL 不会匹配，NOT IN 更会返回空集，请使用 IS NULL。"},
				Rationale: report.Text{En: "x IN (NULL) is unknown for every x.", Zh: "对任何 x，x IN (NULL) 的结果都是未知。"},
				Bad:       "SELECT id FROM t WHERE a NOT IN (1, NULL);\n", Good: "SELECT id FROM t WHERE a IN (1, 2) OR a IS NULL;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Null}, check: nullInList,
		},
		{
			Rule: report.Rule{
				ID: "SQL022", Severity: report.Warning,
				Message:   report.Text{En: "ORDER BY without LIMIT sorts the whole result in one place; add LIMIT, or leave the order away.", Zh: "最外层 ORDER BY 未加 LIMIT，会对全量结果做全局排序，请添加 LIMIT 或去掉排序。"},
				Rationale: report.Text{En: "A global sort runs on one node; a table does not keep the order anyway.", Zh: "全局排序由单节点完成，且写入表后顺序并不保留。"},
				Bad:       "SELECT id, amount FROM dwd_order ORDER BY amount DESC;\n",
				Good:      "SELECT id, amount FROM dwd_order ORDER BY amount DESC LIMIT 100;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Order}, check: sortedWithoutLimit,
		},
		{
			Rule: report.Rule{
				ID: "SQL023", Severity: report.Note,
				Message:   report.Text{En: "LIMIT without ORDER BY writes other rows with each run; add ORDER BY.", Zh: "INSERT 中 LIMIT 未配合 ORDER BY，每次运行写入的数据可能不同，请添加 ORDER BY。"},
				Rationale: report.Text{En: "Which rows come first is not defined, so a rerun does not give the same data.", Zh: "未排序时取到哪些行是不确定的，重跑结果不一致。"},
				Bad:       "INSERT INTO dws_top (id) SELECT id FROM dwd_order LIMIT 10;\n",
				Good:      "INSERT INTO dws_top (id) SELECT id FROM dwd_order ORDER BY amount DESC LIMIT 10;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Limit}, check: limitWithoutOrder,
		},
		{
			Rule: report.Rule{
				ID: "SQL024", Severity: report.Note,
				Message:   report.Text{En: "UNION removes duplicates, which costs a shuffle; say UNION ALL, or UNION DISTINCT if that is meant.", Zh: "UNION 会去重并带来额外开销，请写 UNION ALL；确需去重请写 UNION DISTINCT。"},
				Rationale: report.Text{En: "Mostly the branches do not overlap and the work is wasted.", Zh: "多数情况下各分支并无重复，去重纯属浪费。"},
				Bad:       "SELECT a FROM t1 UNION SELECT a FROM t2;\n", Good: "SELECT a FROM t1 UNION ALL SELECT a FROM t2;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Union}, check: bareUnion,
		},
		{
			Rule: report.Rule{
				ID: "SQL025", Severity: report.Warning,
				Message:   report.Text{En: "The branches of a UNION have different numbers of columns; make them alike.", Zh: "UNION 各分支的列数不一致，请保持一致。"},
				Rationale: report.Text{En: "The statement fails.", Zh: "语句无法执行。"},
				Bad:       "SELECT id, name FROM t1 UNION ALL SELECT id FROM t2;\n",
				Good:      "SELECT id, name FROM t1 UNION ALL SELECT id, '' AS name FROM t2;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Union, lex.Except, lex.Intersect, lex.Minus}, check: unionColumns,
		},
		{
			Rule: report.Rule{
				ID: "SQL026", Severity: report.Warning,
				Message:   report.Text{En: "Queries are nested too deeply; use WITH or intermediate tables.", Zh: "子查询嵌套过深，请改用 WITH 或中间表。"},
				Rationale: report.Text{En: "Nobody can follow it; more than 20 levels are refused by common guard rails.", Zh: "难以阅读和维护；超过 20 层会被常见防御规则拦截。"},
				Bad:       "SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM (SELECT a FROM t) b) c) d) e;\n",
				Good:      "WITH b AS (SELECT a FROM t), c AS (SELECT a FROM b) SELECT a FROM (SELECT a FROM c) d;\n", Syntax: "sql",
				Configure: report.Text{En: "nesting.warning and nesting.error are the levels beyond which it speaks.", Zh: "nesting.warning 与 nesting.error 为层数阈值。"},
			},
			on: []lex.Keyword{lex.Select}, check: nestedTooDeeply,
		},
		{
			Rule: report.Rule{
				ID: "SQL027", Severity: report.Warning,
				Message:   report.Text{En: "Several COUNT(DISTINCT) in one statement multiply the data; split them or count in steps.", Zh: "一条语句中有多个 COUNT(DISTINCT)，数据会成倍膨胀，请拆分或分步去重。"},
				Rationale: report.Text{En: "Every COUNT(DISTINCT) keeps and shuffles its own copy of the data; more than 10 are refused by common guard rails.", Zh: "每个 COUNT(DISTINCT) 都需单独保存并重分布数据；超过 10 个会被常见防御规则拦截。"},
				Bad:       "SELECT COUNT(DISTINCT a), COUNT(DISTINCT b) FROM t;\n", Good: "SELECT COUNT(DISTINCT a), COUNT(b) FROM t;\n", Syntax: "sql",
				Configure: report.Text{En: "distinct.warning and distinct.error are the numbers beyond which it speaks.", Zh: "distinct.warning 与 distinct.error 为数量阈值。"},
			},
			on: []lex.Keyword{lex.Count}, check: countDistincts,
		},
		{
			Rule: report.Rule{
				ID: "SQL028", Severity: report.Warning,
				Message:   report.Text{En: "Too many joins in one statement; split it with intermediate tables.", Zh: "一条语句中 JOIN 过多，请借助中间表拆分。"},
				Rationale: report.Text{En: "The plan gets unpredictable and one skewed key stops all; more than 20 are refused by common guard rails.", Zh: "执行计划难以预测，任一倾斜键都会拖垮整体；超过 20 个会被常见防御规则拦截。"},
				Bad:       "SELECT a.id FROM t1 a JOIN t2 x2 ON a.id = x2.id JOIN t3 x3 ON a.id = x3.id JOIN t4 x4 ON a.id = x4.id JOIN t5 x5 ON a.id = x5.id JOIN t6 x6 ON a.id = x6.id JOIN t7 x7 ON a.id = x7.id JOIN t8 x8 ON a.id = x8.id JOIN t9 x9 ON a.id = x9.id JOIN t10 x10 ON a.id = x10.id;\n",
				Good:      "SELECT a.id FROM t1 a JOIN t2 b ON a.id = b.id;\n", Syntax: "sql",
				Configure: report.Text{En: "joins.warning and joins.error are the numbers beyond which it speaks.", Zh: "joins.warning 与 joins.error 为数量阈值。"},
			},
			on: []lex.Keyword{lex.Join, lex.StraightJoin}, check: tooManyJoins,
		},
		{
			Rule: report.Rule{
				ID: "SQL029", Severity: report.Warning,
				Message:   report.Text{En: "A date in plain text beside a date column; use a parameter such as ${bizdate}.", Zh: "日期/分区字段使用了写死的日期，请改用调度参数，如 ${bizdate}。"},
				Rationale: report.Text{En: "The job reads the same day for ever.", Zh: "作业会一直处理同一天的数据。"},
				Bad:       "SELECT id FROM dwd_order WHERE dt = '20240101';\n",
				Good:      "SELECT id FROM dwd_order WHERE dt = '${bizdate}';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Where, lex.Prewhere, lex.On, lex.Having, lex.Partition}, check: hardCodedDate,
		},
		{
			Rule: report.Rule{
				ID: "SQL030", Severity: report.Warning,
				Message:   report.Text{En: "Text and number are compared; CAST one of them.", Zh: "字符串与数值直接比较，请显式 CAST。"},
				Rationale: report.Text{En: "The engine converts both, mostly to floating point: long ids match wrong rows, and no index or partition helps.", Zh: "引擎会隐式转换，通常转为浮点数：长编号会错配，且索引和分区裁剪失效。"},
				Bad:       "CREATE TABLE IF NOT EXISTS dim_user (id STRING COMMENT '主键') COMMENT '用户';\nSELECT u.id FROM dim_user u WHERE u.id = 100;\n",
				Good:      "CREATE TABLE IF NOT EXISTS dim_user (id STRING COMMENT '主键') COMMENT '用户';\nSELECT u.id FROM dim_user u WHERE u.id = '100';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Where, lex.On, lex.Prewhere, lex.Having}, check: implicitConversion,
		},
		{
			Rule: report.Rule{
				ID: "SQL031", Severity: report.Note,
				Message:   report.Text{En: "A function on a join key; store both sides in the same form.", Zh: "关联键上使用了函数，请在上游统一字段格式后再关联。"},
				Rationale: report.Text{En: "Neither an index nor statistics nor buckets can be used, and each row is computed again.", Zh: "索引、统计信息和分桶均无法利用，且需逐行计算。"},
				Bad:       "SELECT a.id FROM dwd_order a JOIN dim_user b ON trim(a.user_id) = b.id;\n",
				Good:      "SELECT a.id FROM dwd_order a JOIN dim_user b ON a.user_id = b.id;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.On}, check: keyFunctions,
		},
		{
			Rule: report.Rule{
				ID: "SQL032", Severity: report.Warning,
				Message:   report.Text{En: "All rows without a key get the same one and meet in one task; filter them out or spread them.", Zh: "空关联键被替换为同一常量，会造成数据倾斜，请过滤空值或打散。"},
				Rationale: report.Text{En: "One task gets all of them and finishes last; and they match each other.", Zh: "所有空值集中到一个任务，拖慢整体，还会互相匹配。"},
				Bad:       "SELECT a.id FROM dwd_order a JOIN dim_user b ON nvl(a.user_id, '0') = b.id;\n",
				Good:      "SELECT a.id FROM dwd_order a JOIN dim_user b ON a.user_id = b.id WHERE a.user_id IS NOT NULL;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.On}, check: skewedKeys,
		},
		{
			Rule: report.Rule{
				ID: "SQL033", Severity: report.Warning,
				Message:   report.Text{En: "LIKE with a leading wildcard reads everything; anchor the pattern at its beginning.", Zh: "LIKE 以通配符开头会导致全量扫描，请使用前缀匹配。"},
				Rationale: report.Text{En: "Neither an index nor statistics can narrow the search.", Zh: "索引和统计信息都无法缩小扫描范围。"},
				Bad:       "SELECT id FROM t WHERE name LIKE '%abc';\n", Good: "SELECT id FROM t WHERE name LIKE 'abc%';\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Like, lex.Ilike}, check: leadingWildcard,
		},
		{
			Rule: report.Rule{
				ID: "SQL034", Severity: report.Error, Security: true,
				Message:   report.Text{En: "A password or key in plain text; take it from a parameter or a secret store, and change it.", Zh: "出现明文口令或密钥，请改用参数或密钥管理，并更换该口令。"},
				Rationale: report.Text{En: "Packages are copied, stored and mailed; whoever has one has the password.", Zh: "安装包会被复制、归档和转发，拿到包即拿到口令。"},
				Bad:       "CREATE USER etl IDENTIFIED BY 'S3cret!2024';\n", Good: "CREATE USER etl IDENTIFIED BY '${etl_password}';\n", Syntax: "sql",
			},
			check: plainSecrets, anywhere: true,
		},
		{
			Rule: report.Rule{
				ID: "SQL035", Severity: report.Warning,
				Message:   report.Text{En: "Full-width punctuation outside of strings and comments; use the ASCII character.", Zh: "字符串和注释之外出现全角标点，请改为半角。"},
				Rationale: report.Text{En: "Most engines refuse it, and it is hard to see.", Zh: "多数引擎会报错，且肉眼难以分辨。"},
				Bad:       "SELECT a，b FROM t;\n", Good: "SELECT a, '，' AS b FROM t; -- 说明，备注\n", Syntax: "sql",
			},
			onKinds: []lex.Kind{lex.FullWidth}, check: fullWidth, anywhere: true,
		},
		{
			Rule: report.Rule{
				ID: headerRule, Severity: report.Note,
				Message:   report.Text{En: "The file has no header comment; say what it does, who owns it and since when.", Zh: "文件缺少头部注释，请说明用途、负责人和创建时间。"},
				Rationale: report.Text{En: "Whoever is called at night reads it first.", Zh: "夜间排障的人最先看到它。"},
				Bad:       "SELECT id FROM dwd_order;\n",
				Good:      "-- 订单查询，数据组\nSELECT id FROM dwd_order;\n", Syntax: "sql",
				Configure: report.Text{En: "header.policy none switches it off; header.words lists what the comment has to hold.", Zh: "header.policy 为 none 时不检查；header.words 列出注释必须包含的词。"},
			},
		},
		{
			Rule: report.Rule{
				ID: "SQL037", Severity: report.Warning,
				Message:   report.Text{En: "A column without a table in a query of several tables; say whose it is.", Zh: "多表查询中的字段未注明所属表，请加上表别名。"},
				Rationale: report.Text{En: "It breaks, or silently means another column, when a table gets a column of that name.", Zh: "任一表新增同名字段后，语句会报错或悄然取错字段。"},
				Bad:       "SELECT a.id, name FROM dwd_order a JOIN dim_user b ON a.user_id = b.id;\n",
				Good:      "SELECT a.id, b.name FROM dwd_order a JOIN dim_user b ON a.user_id = b.id;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.From}, check: ambiguousColumn,
		},
		{
			Rule: report.Rule{
				ID: "SQL038", Severity: report.Warning,
				Message:   report.Text{En: "WHERE drops the rows without a partner, so the LEFT JOIN is an inner one; put the condition into ON, or say JOIN.", Zh: "WHERE 过滤了右表，LEFT JOIN 实际变为内连接；请把条件移到 ON，或改用 JOIN。"},
				Rationale: report.Text{En: "Either rows are missing, or the query is slower than it has to be.", Zh: "要么丢失数据，要么平白增加开销。"},
				Bad:       "SELECT a.id FROM dwd_order a LEFT JOIN dim_user b ON a.user_id = b.id WHERE b.state = 1;\n",
				Good:      "SELECT a.id FROM dwd_order a LEFT JOIN dim_user b ON a.user_id = b.id AND b.state = 1;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Left}, check: nullifiedJoins,
		},
		{
			Rule: report.Rule{
				ID: "SQL039", Severity: report.Error,
				Message:   report.Text{En: "A mutation or dropped column ON CLUSTER runs on all nodes at once and cannot be taken back; get approval, and run it by hand.", Zh: "集群级的 UPDATE/DELETE/删列会在所有节点同时执行且不可撤销，请先审批并人工执行。"},
				Rationale: report.Text{En: "Mutations rewrite whole parts in the background on every replica and block merges.", Zh: "Mutation 会在每个副本后台重写数据分片并阻塞合并。"},
				Bad:       "ALTER TABLE dwd.events ON CLUSTER main DELETE WHERE id = 1;\n",
				Good:      "ALTER TABLE dwd.events ON CLUSTER main ADD COLUMN memo String;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Cluster}, check: clusterMutation,
		},
		{
			Rule: report.Rule{
				ID: "SQL040", Severity: report.Warning,
				Message:   report.Text{En: "The statement reads the table that it overwrites as a whole; write to another one, or name the partition.", Zh: "语句在未指定分区的情况下读取并覆盖同一张表，请写入其他表或指定分区。"},
				Rationale: report.Text{En: "If it fails midway the source is gone; a rerun works on its own output.", Zh: "中途失败则源数据丢失，重跑时读取的是自己的结果。"},
				Bad:       "INSERT OVERWRITE TABLE dim_user SELECT id FROM dim_user WHERE id > 0;\n",
				Good:      "INSERT OVERWRITE TABLE dim_user SELECT id FROM ods_user WHERE id > 0;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Overwrite}, check: readsWhatItOverwrites,
		},
	}
}

// Rules that are raised where the file is read, not by a check.
const (
	unclosedRule = "SQL000"
	headerRule   = "SQL036"
	unusedRule   = "SUP001"
)

// ruleSet is the table, ready for use.
type ruleSet struct {
	rules []activeRule
	byID  map[string]*rule
}

type activeRule struct {
	rule
	keywords lex.Keywords
	kinds    uint32
	always   bool
}

func newRuleSet() *ruleSet {
	set := &ruleSet{byID: map[string]*rule{}}
	for _, r := range catalogued() {
		set.byID[r.ID] = &r
		if r.check == nil {
			continue
		}
		a := activeRule{rule: r, keywords: lex.SetOf(r.on...), always: len(r.on) == 0 && len(r.onKinds) == 0}
		for _, k := range r.onKinds {
			a.kinds |= 1 << k
		}
		set.rules = append(set.rules, a)
	}
	return set
}

func (r *activeRule) wants(s *Statement) bool {
	return r.always || r.kinds&s.kinds != 0 || r.keywords.Meets(&s.keywords)
}

// fileRules are about a file as a whole.
func fileRules() []rule {
	text := func(en, zh string) report.Text { return report.Text{En: en, Zh: zh} }
	return []rule{
		{Rule: report.Rule{
			ID: "ENC001", Severity: report.Warning,
			Message:   text("The file is not UTF-8; save it as UTF-8.", "文件编码不是 UTF-8，请转存为 UTF-8。"),
			Rationale: text("Clients and engines take files for UTF-8 and would load garbled text.", "客户端和引擎默认按 UTF-8 读取，其他编码会产生乱码。"),
			Good:      "-- 订单明细表\nSELECT id FROM dwd_order;\n", Syntax: "sql",
		}},
		{Rule: report.Rule{
			ID: "ENC002", Severity: report.Note,
			Message:   text("The file begins with a byte order mark; save it without.", "文件带有 BOM，请去除。"),
			Rationale: text("Some clients take the mark for a part of the first statement and fail.", "部分客户端会把 BOM 当作首条语句的内容而报错。"),
			Good:      "-- 订单\nSELECT id FROM dwd_order;\n", Syntax: "sql",
		}},
		{Rule: report.Rule{
			ID: "ENC003", Severity: report.Note,
			Message:   text("The file mixes line ends; use LF only.", "文件混用多种换行符，请统一为 LF。"),
			Rationale: text("Mixed line ends make every comparison of versions noisy and break scripts that read line by line.", "混用换行符会干扰版本比对，也会影响按行处理的脚本。"),
			Good:      "-- 订单\nSELECT id\nFROM dwd_order;\n", Syntax: "sql",
		}},
		{Rule: report.Rule{
			ID: "ENC004", Severity: report.Error,
			Message:   text("The file's bytes are no text in any known encoding; save it as UTF-8.", "无法识别文件编码，请转存为 UTF-8。"),
			Rationale: text("What cannot be read cannot be checked, nor run.", "无法读取的文件既无法检查，也无法执行。"),
			Good:      "-- 订单\nSELECT id FROM dwd_order;\n", Syntax: "sql",
		}},
	}
}

// catalogued are all rules, in the order of their ids.
func catalogued() []rule {
	return append(append(fileRules(), table()...), noqaRule())
}

// noqaRule is about noqa comments.
func noqaRule() rule {
	return rule{Rule: report.Rule{
		ID: unusedRule, Severity: report.Note,
		Message:   report.Text{En: "This noqa suppresses nothing; remove it.", Zh: "该 noqa 没有抑制任何问题，请删除。"},
		Rationale: report.Text{En: "A suppression that outlives its reason hides the next problem of the same kind.", Zh: "失去作用的抑制会掩盖以后出现的同类问题。"},
		Bad:       "-- 订单\nSELECT id FROM dwd_order; -- noqa: SQL001 reason=was a star once\n",
		Good:      "-- 订单\nSELECT * FROM dwd_order; -- noqa: SQL001 reason=one-off export\n", Syntax: "sql",
	}}
}

// rulesDigest identifies what the table can find.
func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintln(h, rulesVersion, secrets.Version)
	for _, r := range catalogued() {
		fmt.Fprintln(h, r.ID, r.Severity, r.Security)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hits takes what the rules find in one file, by byte offsets.
type hits struct {
	rule   *rule
	found  []hit
	counts map[string]int // by rule, also those that were not kept
}

type hit struct {
	rule       *rule
	severity   report.Severity
	message    report.Text
	start, end int
	anchor     string // set when the statement has been looked at
}

// maxHits of one rule in one file are kept; more of the same helps nobody.
const maxHits = 500

// tokens reports tokens from to to, inclusive, with the rule's own message.
func (h *hits) tokens(s *Statement, from, to int) {
	start, end := s.bytes(from, to)
	h.place(start, end, h.rule.Severity, h.rule.Message)
}

// say is tokens with a message that fits better.
func (h *hits) say(s *Statement, from, to int, message report.Text) {
	start, end := s.bytes(from, to)
	h.place(start, end, h.rule.Severity, message)
}

func (h *hits) place(start, end int, severity report.Severity, message report.Text) {
	h.counts[h.rule.ID]++
	if h.counts[h.rule.ID] > maxHits {
		return
	}
	h.found = append(h.found, hit{rule: h.rule, severity: severity, message: message, start: start, end: end})
}
