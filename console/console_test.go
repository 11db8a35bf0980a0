package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

func TestGraphiQLPage(t *testing.T) {
	w := get(t, "/graphiql")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "+
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		w.Header().Get("Content-Security-Policy"))
	require.Contains(t, w.Body.String(), "<title>Factgate GraphiQL</title>")

	again := get(t, "/graphiql", "If-None-Match", w.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.String())
}

// reference matches what a page, a style sheet or a script says of another
// file: by full path, or (between chunks) by a path relative to itself.
var reference = regexp.MustCompile("[\"'`(](/assets/|assets/|\\./)([\\w.-]+\\.(?:js|css|svg|png|woff2))[\"'`)]")

func TestEveryReferencedAssetIsServed(t *testing.T) {
	types := map[string]string{
		".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	}
	hashed := regexp.MustCompile(`-[\w-]{8}\.\w+$`)
	seen := map[string]bool{}
	var follow func(body string)
	follow = func(body string) {
		for _, match := range reference.FindAllStringSubmatch(body, -1) {
			target := "/assets/" + match[2]
			if seen[target] {
				continue
			}
			seen[target] = true
			w := get(t, target)
			require.Equal(t, http.StatusOK, w.Code, target)
			require.Equal(t, types[path.Ext(target)], w.Header().Get("Content-Type"), target)
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), target)
			require.Regexp(t, hashed, target, "cached for good, so its name must change with its content")
			require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"), target)
			follow(w.Body.String())
		}
	}
	follow(get(t, "/graphiql").Body.String())

	// And nothing lies in dist/assets that no page refers to.
	entries, err := fs.ReadDir(dist, "dist/assets")
	require.NoError(t, err)
	require.Len(t, seen, len(entries))
	for _, entry := range entries {
		require.True(t, seen["/assets/"+entry.Name()], entry.Name())
	}
}

func TestNothingElseIsServed(t *testing.T) {
	for _, target := range []string{
		"/", "/graphiql/", "/graphiql.html", "/dist/graphiql.html", "/assets", "/assets/", "/assets/nothing.js",
		"/assets/../console.go", "/assets/..%2fgraphiql.html", "/licenses.md", "/graphql",
	} {
		require.Equal(t, http.StatusNotFound, get(t, target).Code, target)
	}
}

func TestOnlyReading(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/graphiql", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))

	w = httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/graphiql", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
}

// What the policy would block must not be in the files at all; the browser
// test shows the same from the browser's side.
func TestDistFitsThePolicy(t *testing.T) {
	blocked := map[string]*regexp.Regexp{
		"a data: URI":             regexp.MustCompile(`(?i)data:`),
		"an inline script":        regexp.MustCompile(`(?i)<script[^>]*>\s*[^<\s]`),
		"an inline style sheet":   regexp.MustCompile(`(?i)<style`),
		"a style attribute":       regexp.MustCompile(`(?i)\sstyle\s*=`),
		"an event handler":        regexp.MustCompile(`(?i)<[^>]+\son\w+\s*=`),
		"a file of another host":  regexp.MustCompile(`(?i)(?:src|href)\s*=\s*["']?(?:https?:)?//`),
		"a style of another host": regexp.MustCompile(`(?i)(?:@import|url\()\s*["']?(?:https?:)?//`),
	}
	require.NoError(t, fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		require.Contains(t, contentTypes, path.Ext(name), "%s has no content type in console.go", name)
		if strings.HasSuffix(name, ".js") {
			return nil
		}
		body, err := dist.ReadFile(name)
		for what, pattern := range blocked {
			require.Empty(t, pattern.FindString(string(body)), "%s holds %s", name, what)
		}
		return err
	}))
}
