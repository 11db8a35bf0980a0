package sql

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// with scans files under settings, and returns path:rule of what is found.
func with(t *testing.T, text string, files ...entry) []string {
	t.Helper()
	given, err := scanners.ParseSettings(text)
	require.NoError(t, err)
	s, err := New().(scanners.Configurable).Configure(given)
	require.NoError(t, err)
	var out list
	_, err = s.Scan(context.Background(), pack(t, append(files, entry{"x/readme.md", ""})...), &out)
	require.NoError(t, err)
	found := []string{}
	for _, f := range out {
		found = append(found, f.Path+":"+f.Rule+":"+string(f.Severity))
	}
	return found
}

func TestDefaultsAreUsable(t *testing.T) {
	_, wrong := defaultOptions().ready()
	require.Nil(t, wrong)
	s, err := New().(scanners.Configurable).Configure(scanners.Settings{})
	require.NoError(t, err)
	require.Equal(t, New().Describe(), s.Describe())
}

func TestSettings(t *testing.T) {
	require.Equal(t, []string{"jobs/a.sql:SQL017:warning"}, with(t, "dialects:\n  - {files: jobs/**, dialect: hive}\n",
		entry{"jobs/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS dim_a (a INT COMMENT 'a') COMMENT 'a'"},
		entry{"else/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS dim_b (a INT COMMENT 'a') COMMENT 'a'"}))

	deep := entry{"q/a.sql", "-- x\nSELECT a FROM (SELECT a FROM (SELECT a FROM t) x) y"}
	require.Empty(t, with(t, "", deep))
	require.Equal(t, []string{"q/a.sql:SQL026:warning"}, with(t, "nesting: {warning: 1}", deep))
	require.Equal(t, []string{"q/a.sql:SQL026:error"}, with(t, "nesting: {warning: 1, error: 1}", deep))
	require.Empty(t, with(t, "nesting: {warning: 0, error: 0}", entry{"q/a.sql", "-- x\n" + strings.Repeat("SELECT a FROM (", 30) + "SELECT a FROM t" + strings.Repeat(") x", 30)}))

	joined := entry{"q/a.sql", "-- x\nSELECT a.x, count(DISTINCT a.y), count(DISTINCT a.z) FROM t a JOIN u b ON a.id = b.id JOIN v c ON a.id = c.id GROUP BY a.x"}
	require.Equal(t, []string{"q/a.sql:SQL027:warning"}, with(t, "", joined))
	require.Equal(t, []string{"q/a.sql:SQL028:error"}, with(t, "joins: {warning: 1, error: 1}\ndistinct: {warning: 2}", joined))

	layers := entry{"hive/a.sql", "-- x\nCREATE TABLE IF NOT EXISTS raw_a (a INT COMMENT 'a') COMMENT 'a' STORED AS ORC;\nINSERT INTO raw_a (a) SELECT a FROM mart_b;"}
	require.Equal(t, []string{"hive/a.sql:SQL015:warning"}, with(t, "", layers))
	require.Equal(t, []string{"hive/a.sql:SQL016:warning"}, with(t, "layers: {naming: '^(raw|mart)_', order: [raw, mart]}", layers))
	require.Empty(t, with(t, "layers: {naming: '', order: []}", layers))

	header := entry{"q/a.sql", "SELECT a FROM t"}
	require.Equal(t, []string{"q/a.sql:SQL036:note"}, with(t, "", header))
	require.Empty(t, with(t, "header: {policy: none}", header))
	given := "header: {words: [author, 日期]}"
	require.Equal(t, []string{"q/a.sql:SQL036:note"}, with(t, given, entry{"q/a.sql", "-- Author: x\nSELECT a FROM t"}))
	require.Empty(t, with(t, given, entry{"q/a.sql", "-- Author: x\n-- 日期 2026\nSELECT a FROM t"}))

	require.NotEqual(t, New().Describe().ConfigDigest, configured(t, "joins: {warning: 1}").Describe().ConfigDigest)
	require.Equal(t, New().Describe().RulesDigest, configured(t, "joins: {warning: 1}").Describe().RulesDigest)
}

func configured(t *testing.T, text string) scanners.Scanner {
	t.Helper()
	given, err := scanners.ParseSettings(text)
	require.NoError(t, err)
	s, err := New().(scanners.Configurable).Configure(given)
	require.NoError(t, err)
	return s
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"nestings: {warning: 1}":                          "line 1, column 1",
		"\nnesting: {warn: 1}":                            "line 2",
		"nesting: {warning: many}":                        "line 1",
		"nesting: {warning: 5, error: 2}":                 "error is to be at least warning",
		"joins: {warning: -1}":                            "error is to be at least warning",
		"layers: {naming: '('}":                           "line 1, column 18: this is no regular expression",
		"layers: {order: [a, A]}":                         "twice",
		"header: {policy: some}":                          "comment or none",
		"dialects: [{files: 'a/**'}]":                     "each entry takes files",
		"dialects: [{files: 'a/**', dialect: cobol}]":     "hive, spark, maxcompute, mysql, postgresql, clickhouse, doris, dbt",
		"dialects: [{files: '/a[', dialect: clickhouse}]": "line 1",
	} {
		given, err := scanners.ParseSettings(text)
		require.NoError(t, err, text)
		_, err = New().(scanners.Configurable).Configure(given)
		require.ErrorContains(t, err, want, text)
		told, ok := err.(interface{ Text() report.Text })
		require.True(t, ok, text)
		require.Contains(t, told.Text().Zh, "第", text)
	}
}
