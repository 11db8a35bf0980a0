package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
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

	Other map[string]yaml.Node `yaml:",inline"`
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

// check says what makes no sense.
func (s Settings) check() error {
	for _, name := range slices.Sorted(maps.Keys(s.Other)) {
		return fmt.Errorf("line %d: %s is no setting of %s; there are publicPaths, pagingParameters, httpHosts", s.Other[name].Line, name, Type)
	}
	for name, values := range map[string][]string{"publicPaths": s.PublicPaths, "pagingParameters": s.PagingParameters, "httpHosts": s.HTTPHosts} {
		if slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
			return fmt.Errorf("%s holds an empty text, which stands for nothing or everything; remove it", name)
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
