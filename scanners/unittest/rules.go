package unittest

import "github.com/factgate/factgate/domain/report"

// rulesVersion is raised when a rule's code changes what it finds; with the
// table below it makes the rules' digest.
const rulesVersion = "3"

// Rules returns the catalogue. An example that begins with -- is several files, each
// below a line -- path --, with the day on which it was modified behind the path.
func Rules() []report.Rule {
	return []report.Rule{
		failingTest, passRate, noTests, manySkipped, lowLines, lowBranches,
		wrongCounters, flakyTest, malformedReport, oldReport, missingReport, duplicateReport,
	}
}

var (
	failingTest = report.Rule{
		ID: "UT001", Severity: report.Error, Syntax: "xml",
		Message:   report.Text{En: "A test fails or ends in an error; mend it or the code.", Zh: "用例失败或出错，请修复代码或用例。"},
		Rationale: report.Text{En: "A test that fails is a defect somebody already knows about.", Zh: "失败的用例意味着已知的缺陷。"},
		Bad: `<testsuite name="OrderTest" tests="1" failures="1">
  <testcase classname="OrderTest" name="adds"><failure message="expected 3, got 4"/></testcase>
</testsuite>
`,
		Good: `<testsuite name="OrderTest" tests="1" failures="0">
  <testcase classname="OrderTest" name="adds"/>
</testsuite>
`,
	}
	passRate = report.Rule{
		ID: "UT002", Severity: report.Error, Syntax: "xml",
		Message:   report.Text{En: "Too few of the tests that ran pass; mend those that fail.", Zh: "用例通过率过低，请修复失败的用例。"},
		Rationale: report.Text{En: "The rate is over all reports of the package together (passed ÷ (all − skipped)), so one green module does not hide a red one.", Zh: "通过率按安装包内全部报告合并计算（通过数 ÷（总数 − 跳过数）），某个模块全绿不会掩盖另一个模块的失败。"},
		Configure: report.Text{En: "passRate: the least percentage, 100 by default.", Zh: "passRate：最低通过率（百分比），默认 100。"},
		Bad: `<testsuite name="OrderTest" tests="2" errors="1">
  <testcase classname="OrderTest" name="adds"/>
  <testcase classname="OrderTest" name="opens"><error message="no such file"/></testcase>
</testsuite>
`,
		Good: `<testsuite name="OrderTest" tests="2" skipped="1">
  <testcase classname="OrderTest" name="adds"/>
  <testcase classname="OrderTest" name="opens"><skipped/></testcase>
</testsuite>
`,
	}
	noTests = report.Rule{
		ID: "UT003", Severity: report.Error, Syntax: "xml",
		Message:   report.Text{En: "The test reports hold not a single test; run the tests.", Zh: "测试报告中没有任何用例，请执行测试。"},
		Rationale: report.Text{En: "A report without a single test proves nothing, however green it is. (W when it is a dbt run of models only.)", Zh: "没有任何用例的报告证明不了任何事情。（若为仅含模型的 dbt 结果，则为告警。）"},
		Bad:       "<testsuite name=\"OrderTest\" tests=\"0\"/>\n",
		Good:      "<testsuite name=\"OrderTest\" tests=\"1\"><testcase classname=\"OrderTest\" name=\"adds\"/></testsuite>\n",
	}
	manySkipped = report.Rule{
		ID: "UT004", Severity: report.Warning, Syntax: "xml",
		Message:   report.Text{En: "Too many tests are skipped; run them or remove them.", Zh: "被跳过的用例过多，请执行或删除。"},
		Rationale: report.Text{En: "A skipped test looks green and checks nothing.", Zh: "被跳过的用例看似通过，实际什么也没有验证。"},
		Configure: report.Text{En: "maxSkipped: the highest percentage, 10 by default.", Zh: "maxSkipped：跳过比例上限（百分比），默认 10。"},
		Bad: `<testsuite name="OrderTest" tests="2" skipped="1">
  <testcase classname="OrderTest" name="adds"/>
  <testcase classname="OrderTest" name="opens"><skipped/></testcase>
</testsuite>
`,
		Good: `<testsuite name="OrderTest" tests="2" skipped="0">
  <testcase classname="OrderTest" name="adds"/>
  <testcase classname="OrderTest" name="opens"/>
</testsuite>
`,
	}
	lowLines = report.Rule{
		ID: "UT005", Severity: report.Error, Syntax: "xml",
		Message:   report.Text{En: "Tests cover too few lines; cover more of them.", Zh: "行覆盖率过低，请补充测试。"},
		Rationale: report.Text{En: "Lines that no test has run are tried first in production. Lines of all reports are added up; percentages are never averaged. Go covers statements, which count as lines.", Zh: "没有测试执行过的代码，第一次运行就在生产环境。各报告按行数累加，不对百分比取平均；Go 按语句统计。"},
		Configure: report.Text{En: "lineCoverage.error (60) and lineCoverage.warning (80): the least percentages; 0 is never.", Zh: "lineCoverage.error（60）与 lineCoverage.warning（80）：最低百分比，0 表示不检查。"},
		Bad: `<coverage line-rate="0.5" lines-valid="200" lines-covered="100">
  <packages/>
</coverage>
`,
		Good: `<coverage line-rate="0.9" lines-valid="200" lines-covered="180">
  <packages/>
</coverage>
`,
	}
	lowBranches = report.Rule{
		ID: "UT006", Severity: report.Warning, Syntax: "xml",
		Message:   report.Text{En: "Tests cover too few branches; cover both ways of the conditions.", Zh: "分支覆盖率过低，请覆盖条件的两个方向。"},
		Rationale: report.Text{En: "A line may be covered while the case that breaks it never was tried.", Zh: "行被覆盖，不等于会出错的分支被测试过。"},
		Configure: report.Text{En: "branchCoverage: the least percentage, 50 by default; 0 is never.", Zh: "branchCoverage：最低百分比，默认 50，0 表示不检查。"},
		Bad: `<!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="etl">
  <package name="com/example"/>
  <counter type="BRANCH" missed="30" covered="10"/>
  <counter type="LINE" missed="10" covered="90"/>
</report>
`,
		Good: `<!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="etl">
  <package name="com/example"/>
  <counter type="BRANCH" missed="10" covered="30"/>
  <counter type="LINE" missed="10" covered="90"/>
</report>
`,
	}
	wrongCounters = report.Rule{
		ID: "UT007", Severity: report.Warning, Syntax: "xml",
		Message:   report.Text{En: "A suite's counter is not the number of its test cases; write the report anew.", Zh: "测试套件的计数与实际用例数不符，请重新生成报告。"},
		Rationale: report.Text{En: "Cases were lost, or the report was edited or put together from several runs.", Zh: "可能丢失了用例，或报告被修改、由多次运行拼接而成。"},
		Bad:       "<testsuite name=\"OrderTest\" tests=\"3\"><testcase classname=\"OrderTest\" name=\"adds\"/></testsuite>\n",
		Good:      "<testsuite name=\"OrderTest\" tests=\"1\"><testcase classname=\"OrderTest\" name=\"adds\"/></testsuite>\n",
	}
	flakyTest = report.Rule{
		ID: "UT008", Severity: report.Warning, Syntax: "xml",
		Message:   report.Text{En: "A test failed and passed when it was run again; find out what it depends on.", Zh: "用例先失败、重跑后通过，结果不稳定，请查明其依赖。"},
		Rationale: report.Text{En: "A test that sometimes fails is soon ignored when it fails for a reason.", Zh: "时好时坏的用例，真正失败时也会被忽视。"},
		Bad: `<testsuite name="OrderTest" tests="1">
  <testcase classname="OrderTest" name="adds"><flakyFailure message="timed out"/></testcase>
</testsuite>
`,
		Good: `<testsuite name="OrderTest" tests="1">
  <testcase classname="OrderTest" name="adds"/>
</testsuite>
`,
	}
	malformedReport = report.Rule{
		ID: "UT009", Severity: report.Error, Syntax: "xml",
		Message:   report.Text{En: "A report is malformed or cut off; write it anew.", Zh: "报告格式错误或不完整，请重新生成。"},
		Rationale: report.Text{En: "A broken report may hide failures; usually the test run was cut off.", Zh: "损坏的报告可能掩盖失败，通常是测试运行被中断所致。"},
		Bad:       "<testsuite name=\"OrderTest\" tests=\"2\"><testcase classname=\"OrderTest\" name=\"adds\"/>\n",
		Good:      "<testsuite name=\"OrderTest\" tests=\"1\"><testcase classname=\"OrderTest\" name=\"adds\"/></testsuite>\n",
	}
	oldReport = report.Rule{
		ID: "UT010", Severity: report.Warning, Syntax: "text",
		Message:   report.Text{En: "The newest report is older than the newest code; run the tests again.", Zh: "报告早于代码的最新修改，请重新运行测试。"},
		Rationale: report.Text{En: "The report tells of code that is no longer what is delivered. Times are those that the zip gives; files without one do not count.", Zh: "报告反映的不是本次交付的代码。时间取自压缩包内的修改时间，没有时间的文件不参与比较。"},
		Configure: report.Text{En: "maxAgeDays: 7 by default, 0 is never. code: which files are code.", Zh: "maxAgeDays：默认 7 天，0 表示不检查；code：哪些文件是代码。"},
		Bad: `-- TEST-OrderTest.xml 2026-03-01 --
<testsuite name="OrderTest" tests="1"><testcase classname="OrderTest" name="adds"/></testsuite>
-- src/Order.java 2026-03-20 --
package com.example; public class Order { public long total(long price, long count) { return price * count; } }
`,
		Good: `-- TEST-OrderTest.xml 2026-03-20 --
<testsuite name="OrderTest" tests="1"><testcase classname="OrderTest" name="adds"/></testsuite>
-- src/Order.java 2026-03-20 --
package com.example; public class Order { public long total(long price, long count) { return price * count; } }
`,
	}
	missingReport = report.Rule{
		ID: "UT011", Severity: report.Warning, Syntax: "text",
		Message:   report.Text{En: "The package holds code and no test report; deliver the report of its tests.", Zh: "安装包含有代码但没有单元测试报告，请随包提供。"},
		Rationale: report.Text{En: "Without a report nobody knows whether the code was tested at all.", Zh: "没有报告，就无从知道代码是否测试过。"},
		Configure: report.Text{En: "code: how many files of an ending should not come without a report ({.java: 1, .scala: 1, .kt: 1, .go: 1, .py: 3}; 0 is never). codeNeedsReport: false turns it off, and the scanner takes no part for code alone.", Zh: "code：某种后缀的文件达到多少个就应附带报告（{.java: 1, .scala: 1, .kt: 1, .go: 1, .py: 3}，0 表示不检查）；codeNeedsReport: false 关闭该规则，扫描器不再仅因代码而参与。"},
		Bad: `-- src/main/java/Order.java 2026-03-20 --
package com.example; public class Order { public long total(long price, long count) { return price * count; } }
`,
		Good: `-- src/main/java/Order.java 2026-03-20 --
package com.example; public class Order { public long total(long price, long count) { return price * count; } }
-- target/surefire-reports/TEST-OrderTest.xml 2026-03-20 --
<testsuite name="OrderTest" tests="1"><testcase classname="OrderTest" name="adds"/></testsuite>
`,
	}
	duplicateReport = report.Rule{
		ID: "UT012", Severity: report.Warning, Syntax: "text",
		Message:   report.Text{En: "A report repeats another, and was counted once; deliver each report once.", Zh: "报告重复，只计一次；每份报告只需提供一次。"},
		Rationale: report.Text{En: "The same tests counted twice make rates look better than they are. Tests are the same when suite, class and name are.", Zh: "重复计数会使比率失真。套件、类名与用例名均相同即视为同一用例。"},
		Bad: `-- reports/TEST-OrderTest.xml 2026-03-20 --
<testsuite name="OrderTest" tests="1"><testcase classname="OrderTest" name="adds"/></testsuite>
-- target/surefire-reports/TEST-OrderTest.xml 2026-03-20 --
<testsuite name="OrderTest" tests="1"><testcase classname="OrderTest" name="adds"/></testsuite>
`,
		Good: `-- reports/TEST-OrderTest.xml 2026-03-20 --
<testsuite name="OrderTest" tests="1"><testcase classname="OrderTest" name="adds"/></testsuite>
-- reports/TEST-RefundTest.xml 2026-03-20 --
<testsuite name="RefundTest" tests="1"><testcase classname="RefundTest" name="adds"/></testsuite>
`,
	}
)
