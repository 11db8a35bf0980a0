package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A tab is one page in a headless Chromium, spoken to in the DevTools protocol
// over a pair of pipes (JSON messages, each ended by a zero byte). It is for
// one goroutine: a call writes its message and then reads until its answer,
// keeping what the page reported on the way. When ctx ends, Chromium is
// killed, the pipe breaks, and the call under way fails the test.
type tab struct {
	t       *testing.T
	ctx     context.Context
	out     *os.File
	in      *bufio.Reader
	session string
	last    int

	// complaints are errors the browser reported: exceptions, console errors,
	// requests that failed, violations of the Content-Security-Policy.
	complaints []string
	// violations are the directives of securitypolicyviolation events.
	violations []string
}

// openTab starts Chromium with an empty page; it ends with the test.
func openTab(ctx context.Context, t *testing.T) *tab {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			chromium = found
			break
		}
	}
	require.NotEmpty(t, chromium, "Chromium is missing (this test drives it): type  scripts/ensure-chromium.sh")

	cmd := exec.CommandContext(ctx, chromium,
		"--headless", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(),
		"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--lang=en-US", "--window-size=1280,800")
	theirIn, out, err := os.Pipe()
	require.NoError(t, err)
	in, theirOut, err := os.Pipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // file descriptors 3 and 4 there
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	require.NoError(t, theirIn.Close())
	require.NoError(t, theirOut.Close())
	t.Cleanup(func() {
		// A closed pipe tells Chromium to end. Wait returns when its children
		// have ended too, as they share its standard error.
		_ = out.Close()
		_ = in.Close()
		if err := cmd.Wait(); t.Failed() {
			t.Logf("chromium ended: %v\n%s", err, stderr.String())
		}
	})

	b := &tab{t: t, ctx: ctx, out: out, in: bufio.NewReader(in)}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	b.call("Runtime.addBinding", map[string]any{"name": "reportViolation"}, nil)
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `document.addEventListener(
		'securitypolicyviolation', e => reportViolation(e.effectiveDirective + ' ' + e.blockedURI))`}, nil)
	return b
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

func (b *tab) call(method string, params, result any) {
	b.t.Helper()
	b.last++
	body, err := json.Marshal(params)
	require.NoError(b.t, err)
	request, err := json.Marshal(message{ID: b.last, SessionID: b.session, Method: method, Params: body})
	require.NoError(b.t, err)
	_, err = b.out.Write(append(request, 0))
	require.NoError(b.t, err, "%s: chromium does not listen", method)
	for {
		line, err := b.in.ReadBytes(0)
		require.NoError(b.t, err, "%s: chromium does not answer (%v)", method, context.Cause(b.ctx))
		var m message
		require.NoError(b.t, json.Unmarshal(line[:len(line)-1], &m))
		if m.ID != b.last {
			b.note(m)
			continue
		}
		require.Empty(b.t, string(m.Error), method)
		if result != nil {
			require.NoError(b.t, json.Unmarshal(m.Result, result))
		}
		return
	}
}

// note keeps what the page reports by itself.
func (b *tab) note(m message) {
	var p struct {
		Name, Payload    string                                    // Runtime.bindingCalled
		Entry            struct{ Level, Source, Text, URL string } // Log.entryAdded
		Type             string                                    // Runtime.consoleAPICalled
		Args             json.RawMessage
		ExceptionDetails json.RawMessage // Runtime.exceptionThrown
	}
	require.NoError(b.t, json.Unmarshal(m.Params, &p))
	switch m.Method {
	case "Runtime.bindingCalled":
		b.violations = append(b.violations, p.Payload)
	case "Log.entryAdded":
		if p.Entry.Level == "error" {
			b.complaints = append(b.complaints, fmt.Sprintf("%+v", p.Entry))
		}
	case "Runtime.consoleAPICalled":
		if p.Type == "error" || p.Type == "assert" {
			b.complaints = append(b.complaints, string(p.Args))
		}
	case "Runtime.exceptionThrown":
		b.complaints = append(b.complaints, string(p.ExceptionDetails))
	}
}

// eval answers the string value of a JavaScript expression, or of what its
// promise brings.
func (b *tab) eval(expression string) string {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true,
	}, &answer)
	require.Empty(b.t, string(answer.ExceptionDetails), expression)
	return fmt.Sprint(answer.Result.Value)
}

// waitFor asks the page, frame by frame, until the expression is true.
func (b *tab) waitFor(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for b.eval(`new Promise(done => requestAnimationFrame(() => done(!!(`+expression+`))))`) != "true" {
		if time.Now().After(deadline) {
			b.screenshot("stuck.png")
			require.FailNow(b.t, "the page never came to: "+expression,
				"complaints: %q\nviolations: %q\ntext: %s", b.complaints, b.violations, b.eval(`document.body.innerText`))
		}
	}
}

// click waits for the element and presses the mouse's left button on it.
func (b *tab) click(selector string) {
	b.t.Helper()
	quoted, err := json.Marshal(selector)
	require.NoError(b.t, err)
	b.waitFor(`document.querySelector(` + string(quoted) + `)`)
	var at struct{ X, Y float64 }
	require.NoError(b.t, json.Unmarshal([]byte(b.eval(`(() => {
		const r = document.querySelector(`+string(quoted)+`).getBoundingClientRect()
		return JSON.stringify({X: r.x + r.width / 2, Y: r.y + r.height / 2})
	})()`)), &at))
	for _, event := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{
			"type": event, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1,
		}, nil)
	}
}

const ctrl = 2 // the modifier's bit in DevTools key events

// press strikes one key; code is its Windows virtual key code.
func (b *tab) press(key string, code, modifiers int) {
	b.t.Helper()
	for _, event := range []string{"rawKeyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{
			"type": event, "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
		}, nil)
	}
}

// typeText enters text where the focus is.
func (b *tab) typeText(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// screenshot leaves a picture among the test's artifacts
// (go test -artifacts -outputdir DIR).
func (b *tab) screenshot(name string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", nil, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), png, 0o644))
}
