// Package console serves Factgate's web pages: for now GraphiQL.
//
// It promises pages that work offline and under one strict
// Content-Security-Policy: every byte comes from this binary and nothing is
// inline. It refuses to know anything but its own files; what the pages show
// they ask for over the public API (/graphql, same origin).
//
// The pages are built by Vite from the sources beside this file into dist/,
// which is committed, so `go build` needs no Node; README.md says how to
// rebuild it. Start at [Handler].
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// contentSecurityPolicy allows this origin's files and nothing else: no inline
// script or style, no data: URI, no other host, no embedding in other pages.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// contentTypes are fixed here rather than taken from the machine's MIME
// tables, which may be missing or wrong; with nosniff a wrong type breaks the
// page. A test holds this table and dist/ together.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

//go:embed dist/graphiql.html all:dist/assets
var dist embed.FS

// Handler serves GET and HEAD of
//
//	/graphiql   the GraphiQL page; revalidated on every load
//	/assets/…   what pages refer to; names hold a digest, so cached for good
//
// and answers 404 to every other path, 405 to every other method. It looks at
// the full request path: mount it without stripping a prefix.
func Handler() http.Handler {
	files := make(map[string]file)
	// Walking an embedded folder and reading its files cannot fail.
	_ = fs.WalkDir(dist, "dist/assets", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[strings.TrimPrefix(name, "dist")] = load(name, "public, max-age=31536000, immutable")
		}
		return err
	})
	files["/graphiql"] = load("dist/graphiql.html", "no-cache")

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this page can only be read (GET, HEAD)", http.StatusMethodNotAllowed)
			return
		}
		f.serve(w, r)
	})
}

// A file is one embedded file with the headers that go with it.
type file struct {
	body         []byte
	contentType  string
	cacheControl string
	etag         string
}

func load(name, cacheControl string) file {
	body, _ := dist.ReadFile(name)
	digest := sha256.Sum256(body)
	return file{
		body:         body,
		contentType:  contentTypes[path.Ext(name)],
		cacheControl: cacheControl,
		etag:         `"` + hex.EncodeToString(digest[:16]) + `"`,
	}
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", f.cacheControl)
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
