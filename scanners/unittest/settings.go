package unittest

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Settings are the thresholds of the rules, in percent, days and files.
type Settings struct {
	// PassRate: UT002 when fewer of the tests that were not skipped pass.
	PassRate float64 `yaml:"passRate"`
	// MaxSkipped: UT004 when more of the tests are skipped.
	MaxSkipped float64 `yaml:"maxSkipped"`
	// LineCoverage and BranchCoverage: UT005 and UT006 when less is covered. 0 is
	// never.
	LineCoverage   LineCoverage `yaml:"lineCoverage"`
	BranchCoverage float64      `yaml:"branchCoverage"`
	// MaxAgeDays: UT010 when the newest code is younger than the newest report by
	// more days. 0 is never.
	MaxAgeDays int `yaml:"maxAgeDays"`
	// Code says what code is, for UT010 and UT011, by the ending of its files, and how
	// many files of it should not come without a report. 0 is never. Endings that are
	// not named keep their number.
	Code map[string]int `yaml:"code"`
	// CodeNeedsReport: a package with code and no report gets UT011. Otherwise the
	// scanner takes no part in it.
	CodeNeedsReport bool `yaml:"codeNeedsReport"`
}

// LineCoverage has a lower threshold, which fails the check, and a higher one.
type LineCoverage struct {
	Error   float64 `yaml:"error"`
	Warning float64 `yaml:"warning"`
}

// DefaultSettings are those of a scanner that was given none.
func DefaultSettings() Settings {
	return Settings{
		PassRate: 100, MaxSkipped: 10, LineCoverage: LineCoverage{Error: 60, Warning: 80}, BranchCoverage: 50,
		MaxAgeDays: 7, CodeNeedsReport: true,
		// Compiled code is a product; a few Python files may be glue.
		Code: map[string]int{".java": 1, ".scala": 1, ".kt": 1, ".go": 1, ".py": 3},
	}
}

// check says what makes no sense of what was given.
func (s Settings) check(given scanners.Settings) error {
	for _, percent := range []struct {
		value float64
		keys  []string
	}{
		{s.PassRate, []string{"passRate"}}, {s.MaxSkipped, []string{"maxSkipped"}}, {s.LineCoverage.Error, []string{"lineCoverage", "error"}},
		{s.LineCoverage.Warning, []string{"lineCoverage", "warning"}}, {s.BranchCoverage, []string{"branchCoverage"}},
	} {
		if !(percent.value >= 0 && percent.value <= 100) {
			return given.Refuse(report.Text{
				En: strings.Join(percent.keys, ".") + " is a percentage from 0 to 100",
				Zh: strings.Join(percent.keys, ".") + " 应为 0 到 100 之间的百分比",
			}, percent.keys...)
		}
	}
	if s.MaxAgeDays < 0 || s.MaxAgeDays > 36500 {
		return given.Refuse(report.Text{En: "maxAgeDays is a number of days, or 0 for never", Zh: "maxAgeDays 应为天数，0 表示不检查"}, "maxAgeDays")
	}
	for _, ending := range slices.Sorted(maps.Keys(s.Code)) {
		if !strings.HasPrefix(ending, ".") || strings.ToLower(ending) != ending || s.Code[ending] < 0 {
			return given.Refuse(report.Text{
				En: "code takes endings in lower case, such as .py, and for each a number of files, or 0 for never",
				Zh: "code 的键应为小写后缀（如 .py），值为文件个数，0 表示不检查",
			}, "code", ending)
		}
	}
	return nil
}

// isCode reports whether a file is code of the package's own that tests should
// cover, or a test. What was fetched, built or generated is not, nor what only holds
// a package together.
func (s Settings) isCode(file *zippkg.File) (ending string, ok bool) {
	ending = strings.ToLower(path.Ext(file.Path))
	if s.Code[ending] == 0 || file.Size < leastCode {
		return "", false
	}
	switch path.Base(file.Path) {
	case "__init__.py", "__main__.py", "setup.py", "conf.py", "conftest.py", "package-info.java", "module-info.java", "doc.go":
		return "", false
	}
	for _, folder := range strings.Split(strings.ToLower(path.Dir(file.Path)), "/") {
		switch folder {
		case "node_modules", "vendor", "third_party", "thirdparty", "site-packages", "dist-packages", "venv", ".venv", "env",
			"target", "build", "dist", "out", "generated", "generated-sources", "gen", "examples", "docs", "doc", "__macosx":
			return "", false
		}
	}
	return ending, true
}

// leastCode is the size below which a file of code holds nothing to test.
const leastCode = 100
