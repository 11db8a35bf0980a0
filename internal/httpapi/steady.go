package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/factgate/factgate/domain"
)

// steady gives up on request bodies that do not move on, also on what is left of
// them when the answer is known: the server reads some of that by itself. Errors
// of the deadline are dropped: without a connection nobody waits for one. Whoever
// reads such a body gets the refusal as the error.
func (a *api) steady(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			body := &steadyBody{ReadCloser: r.Body, conn: http.NewResponseController(w), patience: a.Patience}
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
	stalled  error
}

func (b *steadyBody) expect() { _ = b.conn.SetReadDeadline(time.Now().Add(b.patience)) }

func (b *steadyBody) Read(p []byte) (int, error) {
	if b.stalled != nil {
		return 0, b.stalled // who reads on, to throw the rest away, does not wait again
	}
	b.expect()
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		// From here on the server reads only to notice that the client goes away.
		_ = b.conn.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.stalled = &domain.Error{Kind: domain.Invalid, Rule: "http.stalled", Err: err,
			Msg:   fmt.Sprintf("nothing of the request's body came for %.3g s, so it was cut off; look at the connection and send it again", b.patience.Seconds()),
			MsgZH: fmt.Sprintf("请求体已 %.3g 秒没有新数据，连接已断开；请检查网络后重新发送", b.patience.Seconds())}
		err = b.stalled
	}
	return n, err
}
