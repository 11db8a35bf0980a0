package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/factgate/factgate/domain/report"
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
				ID: "SQL012", Severity: report.Error,
				Message:   report.Text{En: "This destroys data beyond recovery and needs approval.", Zh: "该操作会不可恢复地删除数据，需要审批。"},
				Rationale: report.Text{En: "Dropping databases or partitions, truncating and cascading destroy more than one object at once.", Zh: "删库、清表、删分区和级联删除一次会破坏大量数据。"},
				Bad:       "TRUNCATE TABLE dwd_order;\n", Good: "INSERT OVERWRITE TABLE dwd_order PARTITION (dt = '${bizdate}') SELECT order_id FROM ods_order;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Drop, lex.Truncate}, check: destructive,
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
				ID: "SQL021", Severity: report.Error,
				Message:   report.Text{En: "NULL in an IN list never matches, and NOT IN then selects nothing; use IS NULL.", Zh: "IN 列表中的 NULL 不会匹配，NOT IN 更会返回空集，请使用 IS NULL。"},
				Rationale: report.Text{En: "x IN (NULL) is unknown for every x.", Zh: "对任何 x，x IN (NULL) 的结果都是未知。"},
				Bad:       "SELECT id FROM t WHERE a NOT IN (1, NULL);\n", Good: "SELECT id FROM t WHERE a IN (1, 2) OR a IS NULL;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Null}, check: nullInList,
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
				ID: "SQL027", Severity: report.Warning,
				Message:   report.Text{En: "Several COUNT(DISTINCT) in one statement multiply the data; split them or count in steps.", Zh: "一条语句中有多个 COUNT(DISTINCT)，数据会成倍膨胀，请拆分或分步去重。"},
				Rationale: report.Text{En: "Every COUNT(DISTINCT) keeps and shuffles its own copy of the data; more than 10 are refused by common guard rails.", Zh: "每个 COUNT(DISTINCT) 都需单独保存并重分布数据；超过 10 个会被常见防御规则拦截。"},
				Bad:       "SELECT COUNT(DISTINCT a), COUNT(DISTINCT b) FROM t;\n", Good: "SELECT COUNT(DISTINCT a), COUNT(b) FROM t;\n", Syntax: "sql",
			},
			on: []lex.Keyword{lex.Count}, check: countDistincts,
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
			Bad:       "-- \xb6\xa9\xb5\xa5\xc3\xf7\xcf\xb8\xb1\xed\nSELECT id FROM dwd_order;\n", Good: "-- 订单明细表\nSELECT id FROM dwd_order;\n", Syntax: "sql",
		}},
		{Rule: report.Rule{
			ID: "ENC002", Severity: report.Note,
			Message:   text("The file begins with a byte order mark; save it without.", "文件带有 BOM，请去除。"),
			Rationale: text("Some clients take the mark for a part of the first statement and fail.", "部分客户端会把 BOM 当作首条语句的内容而报错。"),
			Bad:       "\uFEFF-- 订单\nSELECT id FROM dwd_order;\n", Good: "-- 订单\nSELECT id FROM dwd_order;\n", Syntax: "sql",
		}},
		{Rule: report.Rule{
			ID: "ENC003", Severity: report.Note,
			Message:   text("The file mixes line ends; use LF only.", "文件混用多种换行符，请统一为 LF。"),
			Rationale: text("Mixed line ends make every comparison of versions noisy and break scripts that read line by line.", "混用换行符会干扰版本比对，也会影响按行处理的脚本。"),
			Bad:       "-- 订单\r\nSELECT id\nFROM dwd_order;\n", Good: "-- 订单\nSELECT id\nFROM dwd_order;\n", Syntax: "sql",
		}},
		{Rule: report.Rule{
			ID: "ENC004", Severity: report.Error,
			Message:   text("The file's bytes are no text in any known encoding; save it as UTF-8.", "无法识别文件编码，请转存为 UTF-8。"),
			Rationale: text("What cannot be read cannot be checked, nor run.", "无法读取的文件既无法检查，也无法执行。"),
			Bad:       "\xff\xfe\x41\xd8", Good: "-- 订单\nSELECT id FROM dwd_order;\n", Syntax: "sql",
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
	fmt.Fprintln(h, rulesVersion)
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
