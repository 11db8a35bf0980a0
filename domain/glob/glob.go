// Package glob is how paths within a package are named by pattern: '*' is anything
// within a name, '**' any folders, '?' one character, [a-z] one of a class, {a,b} one
// of these. The whole path is matched, case counts, and folders are parted by '/'.
//
// It refuses patterns that are malformed or that could take long to match.
package glob

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/factgate/factgate/domain"
)

// Pattern matches paths. One that was not made by [Parse] or read from text may be
// malformed; that matches nothing.
type Pattern string

// Limits of a pattern.
const (
	maxLength       = 512
	maxAlternatives = 64 // of all its {a,b}, multiplied: each is tried by itself
)

// Parse refuses what is no pattern as Invalid, glob.invalid.
func Parse(text string) (Pattern, error) {
	switch {
	case text == "":
		return "", refuse("a pattern is empty; give one such as sql/**", "匹配模式为空；请给出如 sql/** 的模式")
	case len(text) > maxLength:
		return "", refuse(fmt.Sprintf("a pattern is longer than %d bytes", maxLength), fmt.Sprintf("匹配模式超过 %d 字节", maxLength))
	case strings.HasPrefix(text, "/"), strings.HasPrefix(text, "./"):
		return "", refuse(fmt.Sprintf("%.80q begins with %.1q; paths are relative to the package, such as sql/**", text, text),
			fmt.Sprintf("%.80q 以 %.1q 开头；路径应相对于安装包，如 sql/**", text, text))
	case strings.Contains(text, `\`):
		return "", refuse(fmt.Sprintf(`%.80q holds a backslash; folders are parted by "/"`, text),
			fmt.Sprintf(`%.80q 含有反斜杠；请用 "/" 分隔文件夹`, text))
	case !doublestar.ValidatePattern(text):
		return "", refuse(fmt.Sprintf("%.80q is no pattern: a [ or { is not closed, or a ] or } not opened", text),
			fmt.Sprintf("%.80q 不是合法的匹配模式：[ 或 { 未闭合，或 ]、} 没有对应的开头", text))
	case alternatives(text) > maxAlternatives:
		return "", refuse(fmt.Sprintf("%.80q has more than %d alternatives; write several patterns", text, maxAlternatives),
			fmt.Sprintf("%.80q 的可选分支超过 %d 个；请拆成多个模式", text, maxAlternatives))
	}
	return Pattern(text), nil
}

func refuse(en, zh string) error {
	return &domain.Error{Kind: domain.Invalid, Rule: "glob.invalid", Msg: en, MsgZH: zh}
}

// alternatives is at least how many patterns without braces a pattern stands for.
func alternatives(text string) int {
	total, inGroup := 1, 1
	for i := range len(text) {
		switch text[i] {
		case '{', '}':
			total *= inGroup
			inGroup = 1
		case ',':
			inGroup++
		}
		if total*inGroup > maxAlternatives {
			return total * inGroup
		}
	}
	return total * inGroup
}

// Match reports whether the pattern matches a path.
func (p Pattern) Match(path string) bool {
	if !strings.HasPrefix(path, p.beginning()) {
		return false
	}
	ok, err := doublestar.Match(string(p), path)
	return err == nil && ok
}

// Cost is what Match may cost for a path at worst, in steps that are alike for all
// patterns: whoever matches a stranger's patterns counts them. A path that begins
// otherwise costs nothing.
func (p Pattern) Cost(path string) int {
	if !strings.HasPrefix(path, p.beginning()) {
		return 0
	}
	return alternatives(string(p)) * len(path)
}

// beginning is what every path that matches begins with.
func (p Pattern) beginning() string {
	if i := strings.IndexAny(string(p), `*?[{\`); i >= 0 {
		return string(p[:i])
	}
	return string(p)
}

// UnmarshalText is Parse.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	*p, err = Parse(string(text))
	return err
}

// Any reports whether one of the patterns matches.
func Any(patterns []Pattern, path string) bool {
	for _, p := range patterns {
		if p.Match(path) {
			return true
		}
	}
	return false
}
