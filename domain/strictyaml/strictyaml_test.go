package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/glob"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
)

type inner struct {
	Max  int      `yaml:"max"`
	Tags []string `yaml:"tags,omitempty"`
}

type shared struct {
	Owner string `yaml:"owner"`
}

type settings struct {
	shared  `yaml:",inline"`
	Enabled bool               `yaml:"enabled"`
	Wait    time.Duration      `yaml:"wait"`
	Ratio   float64            `yaml:"ratio"`
	Port    uint16             `yaml:"port"`
	Nested  *inner             `yaml:"nested"`
	Types   map[string]inner   `yaml:"types"`
	Paths   []glob.Pattern     `yaml:"paths"`
	Levels  map[string]float64 `yaml:"levels"`
	Free    any                `yaml:"free"`
	Raw     yaml.Node          `yaml:"raw"`
	Plain   string
	hidden  int
	Skipped string `yaml:"-"`
}

func TestWhatIsWrittenFillsAndTheRestStays(t *testing.T) {
	got := settings{Plain: "default", Ratio: 1, hidden: 3}
	root, err := strictyaml.Parse([]byte(`
owner: li
enabled: yes
wait: 10m
port: 8080
nested: {max: 3, tags: [a, 7]}
types: {"*": &t {max: 1}, b: *t}
paths: ["sql/**"]
levels:
free: {a: [1, {b: c}]}
raw: [1]
`), &got)
	require.NoError(t, err)
	require.NotNil(t, root)
	require.Equal(t, "li", got.Owner)
	require.True(t, got.Enabled)
	require.Equal(t, 10*time.Minute, got.Wait)
	require.Equal(t, &inner{Max: 3, Tags: []string{"a", "7"}}, got.Nested)
	require.Equal(t, map[string]inner{"*": {Max: 1}, "b": {Max: 1}}, got.Types)
	require.Equal(t, []glob.Pattern{"sql/**"}, got.Paths)
	require.Equal(t, []any{"default", 1.0, 3}, []any{got.Plain, got.Ratio, got.hidden})
	for _, nothing := range []string{"", "# only a comment\n", "---\n", "null"} {
		before := got
		root, err := strictyaml.Parse([]byte(nothing), &got)
		require.NoError(t, err)
		require.Nil(t, root)
		require.Equal(t, before, got)
	}
	require.Error(t, strictyaml.Fill(root, settings{}), "nothing to fill")
	require.NoError(t, strictyaml.Fill(nil, &got))
}

func TestEveryRefusalSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"enabeld: true":                `1:1 "enabeld" is not known here; did you mean "enabled"?`,
		"x: 1":                         `1:1 "x" is not known here; known are enabled, free, levels, nested, owner, paths, plain, ports`,
		"nested:\n  max: 1\n  maxi: 2": `3:3 "maxi" is not known here; did you mean "max"?`,
		"nested:\n  tags: a":           `2:9 here must be a list`,
		"nested:\n  max: many":         `2:8 here must be a whole number`,
		"nested:\n  max: 1.5":          `2:8 here must be a whole number`,
		"port: 70000":                  `1:7 here must be a whole number, 0 or more`,
		"ratio: .nan":                  `1:8 here must be a number`,
		"enabled: maybe":               `1:10 here must be true or false`,
		"enabled:":                     `1:9 here must be true or false`,
		"wait: 10":                     `1:7 here must be a length of time, such as 10m`,
		"owner: [a]":                   `1:8 here must be a text`,
		"types: {a: {max: 1, mx: 2}}":  `1:21 "mx" is not known here; did you mean "max"?`,
		"types: [1]":                   `1:8 here must be keys with values`,
		"[1]":                          `1:1 here must be keys with values`,
		"owner: a\nowner: b":           `2:1 "owner" stands here twice`,
		"free: {a: 1, a: 2}":           `1:14 "a" stands here twice`,
		"nested: {<<: {max: 1}}":       `1:10 merge keys (<<) are not understood; write it out`,
		"? [a]\n: 1":                   `1:3 a key must be a name`,
		"paths: [\"a[\"]":              `1:9 "a[" is no pattern: a [ or { is not closed, or a ] or } not opened`,
		"paths: [\"/a\"]":              `1:9 "/a" begins with "/"; paths are relative to the package, such as sql/**`,
		"owner: a\n---\nowner: b":      `2:1 only one document is read; take away what follows ---`,
		"hidden: 1":                    `1:1 "hidden" is not known here; known are enabled, free, levels, nested, owner, paths, plain, ports`,
		"Skipped: x":                   `1:1 "Skipped" is not known here; known are enabled, free, levels, nested, owner, paths, plain, ports`,
		"free: " + strings.Repeat("[", 40) + strings.Repeat("]", 40): `1:39 the text is too large or too deep`,
		"owner: \xff": `1:1 the text is not UTF-8; save it as UTF-8`,
		"owner: " + strings.Repeat("a", strictyaml.MaxBytes): `1:1 the text is longer than 64 KiB`,
		"free: &a [*a]": `1:7 the text is too large or too deep`,
	} {
		_, err := strictyaml.Parse([]byte(text), &settings{})
		var refused *strictyaml.Error
		require.ErrorAs(t, err, &refused, "%.60q", text)
		p := refused.Problems[0]
		want := strings.Replace(want, "ports", "port, ratio, raw, types, wait", 1)
		require.Equal(t, want, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Text.En), "%.60q", text)
		require.NotEmpty(t, p.Text.Zh)
		require.Contains(t, refused.Text().Zh, "行第")
	}
	_, err := strictyaml.Parse([]byte("owner: a\n  b: c: d\n"), &settings{})
	require.ErrorContains(t, err, "line 2, column 1: this is not YAML")
}

func TestAllIsToldAtOnce(t *testing.T) {
	_, err := strictyaml.Parse([]byte("bad: 1\nport: x\nnested: {max: y}\n"), &settings{})
	var refused *strictyaml.Error
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Problems, 3)
	both := strictyaml.Join(refused, nil, strictyaml.Refuse(nil, report.Text{En: "e", Zh: "z"}))
	require.Len(t, both.Problems, 4)
	require.Equal(t, "e", both.Problems[1].Text.En, "1:1, behind what stood there before")
	require.Nil(t, strictyaml.Join(nil))
}

func TestAliasesDoNotMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("free:\n  a0: &a0 [x]\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1)
	}
	_, err := strictyaml.Parse([]byte(b.String()), &settings{})
	require.ErrorContains(t, err, "too large")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("owner: a\nnested: {max: 1}\nfree: &a [*a]\n"))
	f.Add([]byte("paths: ['**']\nwait: 1h\ntypes: {a: {tags: [x]}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s settings
		if _, err := strictyaml.Parse(text, &s); err != nil {
			var refused *strictyaml.Error
			if !errors.As(err, &refused) || len(refused.Problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
		}
	})
}
