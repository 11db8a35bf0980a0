package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// steady gives up on request bodies that do not move on, also on what is left of
// them when the answer is known: the server reads some of that by itself. Errors
// of the deadline are dropped: without a connection nobody waits for one.
func (a *api) steady(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			body := &steadyBody{r.Body, http.NewResponseController(w), a.Patience}
			body.expect()
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

type steadyBody struct {
	io.ReadCloser
	conn     *http.ResponseController
	patience time.Duration
}

func (b *steadyBody) expect() { _ = b.conn.SetReadDeadline(time.Now().Add(b.patience)) }

func (b *steadyBody) Read(p []byte) (int, error) {
	b.expect()
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// From here on the server reads only to notice that the client goes away.
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
