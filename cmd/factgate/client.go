package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// client speaks to a server's public API and to nothing else.
type client struct {
	base string
	http *http.Client
	zh   bool
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

func newClient(server string, zh bool) (*client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--server %q is not a URL such as http://127.0.0.1:8080", server)
	}
	return &client{base: strings.TrimSuffix(server, "/"), http: &http.Client{}, zh: zh}, nil
}

// serverFlag adds --server, with FACTGATE_SERVER as its default.
func serverFlag(cmd *cobra.Command, server *string, without string) {
	cmd.Flags().StringVar(server, "server", os.Getenv("FACTGATE_SERVER"), "URL of a Factgate server (default: FACTGATE_SERVER; "+without+")")
}

// refusedError is a server's typed "no".
type refusedError struct {
	status        int
	Code, Message string
}

func (e *refusedError) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// final reports whether the same request would be refused again.
func (e *refusedError) final() bool { return e.status < 500 && e.status != http.StatusRequestTimeout }

func (c *client) do(req *http.Request, answer any) error {
	if c.zh {
		req.Header.Set("Accept-Language", "zh-CN")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach the server at %s: %w", c.base, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.base, err)
	}
	if resp.StatusCode >= 400 {
		var r struct {
			Refused struct{ Code, Message string }
		}
		if json.Unmarshal(body, &r) == nil && r.Refused.Code != "" {
			return &refusedError{resp.StatusCode, r.Refused.Code, r.Refused.Message}
		}
		if resp.Header.Get("Content-Type") != "application/json" || len(body) == 0 {
			return fmt.Errorf("%s answered %s; is it a Factgate server?", c.base, resp.Status)
		}
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s gave an answer that is not Factgate's: %w", c.base, err)
	}
	return nil
}

// package_ is what upload sends.
type package_ struct {
	path, fileName, project, version, by, key string
}

// receipt is the answer to an upload.
type receipt struct {
	TaskID   string
	Position string
	SHA256   string
	Existed  bool
}

// uploadPatience is how long an upload is tried while the server says that it
// may work in a moment.
const uploadPatience = 30 * time.Second

// upload sends a package. One Idempotency-Key covers all tries, so however often
// the answer is lost, there is one task.
func (c *client) upload(ctx context.Context, p package_) (receipt, error) {
	if p.key == "" {
		p.key = uuid.NewString()
	}
	return patiently(ctx, uploadPatience, func() (receipt, error) { return c.uploadOnce(ctx, p) })
}

func (c *client) uploadOnce(ctx context.Context, p package_) (r receipt, err error) {
	file, err := os.Open(p.path)
	if err != nil {
		return r, backoff.Permanent(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return r, backoff.Permanent(err)
	}
	if !info.Mode().IsRegular() {
		return r, backoff.Permanent(fmt.Errorf("%s is not a file", p.path))
	}
	query := url.Values{"project": {p.project}, "version": {p.version}, "uploadedBy": {p.by}, "fileName": {p.fileName}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/uploads?"+query.Encode(), file)
	if err != nil {
		return r, backoff.Permanent(err)
	}
	req.ContentLength = info.Size()
	if info.Size() == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/zip")
	req.Header.Set("Idempotency-Key", p.key)
	return r, c.do(req, &r)
}

// query asks GraphQL once.
func (c *client) query(ctx context.Context, text string, variables map[string]any, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]any{"query": text, "variables": variables})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	var got struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct{ Code, Kind, MessageZh string }
		}
	}
	if err := c.do(req, &got); err != nil {
		return err
	}
	if len(got.Errors) > 0 {
		e := got.Errors[0]
		status := http.StatusUnprocessableEntity
		if e.Extensions.Kind == "UNAVAILABLE" || e.Extensions.Kind == "INTERNAL" {
			status = http.StatusServiceUnavailable
		}
		if c.zh && e.Extensions.MessageZh != "" {
			e.Message = e.Extensions.MessageZh
		}
		return &refusedError{status, e.Extensions.Code, e.Message}
	}
	return json.Unmarshal(got.Data, answer)
}

// patiently repeats a question while the server may be away only for a moment.
func patiently[T any](ctx context.Context, patience time.Duration, ask func() (T, error)) (T, error) {
	return backoff.Retry(ctx, func() (T, error) {
		v, err := ask()
		var no *refusedError
		if errors.As(err, &no) && no.final() {
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithMaxElapsedTime(patience))
}
