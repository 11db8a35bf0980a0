package openapi

import (
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// Settings of the rules. Each list takes the place of the default one.
type Settings struct {
	// PublicPaths ask for no authentication: whole paths, which may end in *, or, without
	// a slash, last parts of paths.
	PublicPaths []string `yaml:"publicPaths"`
	// PagingParameters are names, or parts of names, in lower case and without
	// separators, of parameters that limit how much is answered.
	PagingParameters []string `yaml:"pagingParameters"`
	// HTTPHosts may be reached over plain http.
	HTTPHosts []string `yaml:"httpHosts"`
}

// DefaultSettings are those of a scanner that was given none.
func DefaultSettings() Settings {
	return Settings{
		PublicPaths: []string{"health", "healthz", "livez", "readyz", "ping", "version", "login", "token", "captcha"},
		PagingParameters: []string{"limit", "page", "size", "offset", "cursor", "top", "first", "last", "count", "max", "rows", "skip", "marker", "after",
			"before", "token"},
		HTTPHosts: []string{"localhost", "127.0.0.1", "::1"},
	}
}

// check says what makes no sense of what was given.
func (s Settings) check(given scanners.Settings) error {
	for _, of := range []struct {
		name   string
		values []string
	}{{"publicPaths", s.PublicPaths}, {"pagingParameters", s.PagingParameters}, {"httpHosts", s.HTTPHosts}} {
		if slices.ContainsFunc(of.values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
			return given.Refuse(report.Text{
				En: of.name + " holds an empty text, which stands for nothing or for everything; remove it",
				Zh: of.name + " 中含有空文本，含义不明，请删除",
			}, of.name)
		}
	}
	return nil
}

// public reports whether a path needs no authentication.
func (s Settings) public(path string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return slices.ContainsFunc(s.PublicPaths, func(p string) bool {
		if !strings.HasPrefix(p, "/") {
			return strings.EqualFold(p, last)
		}
		if prefix, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(path, prefix)
		}
		return p == path
	})
}
