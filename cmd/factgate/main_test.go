package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/examples"
	"github.com/factgate/factgate/scanners/external"
)

// The test binary is factgate itself when it is told so: tests run it as users do.
const asFactgate = "FACTGATE_TEST_RUN"

func TestMain(m *testing.M) {
	external.Enter() // a command is shut in by a process of this binary, which knows nothing of the environment
	if os.Getenv(asFactgate) != "" {
		main()
		return
	}
	// Most of these tests wait for servers of their own far longer than they work.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(3, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func factgate(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asFactgate+"=1", "FACTGATE_LANG=en", "FACTGATE_SERVER=", "FACTGATE_EVENTSTORE=", "FACTGATE_DATABASE=", "FACTGATE_BLOBS=")
	return cmd
}

type ran struct {
	code        int
	out, errors string
}

func run(t *testing.T, args ...string) ran {
	t.Helper()
	return runIn(t, "", args...)
}

// runIn is run in another folder.
func runIn(t *testing.T, folder string, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := factgate(t.Context(), args...)
	cmd.Dir = folder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Error(err) // not require, which is for the test's own goroutine
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// server is a factgate run in a process of its own.
type server struct {
	*exec.Cmd
	url string
	log *bytes.Buffer
}

func serve(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := &server{log: &bytes.Buffer{}}
	s.Cmd = factgate(context.Background(), append([]string{"run", "--data", data, "--listen", "127.0.0.1:0"}, args...)...)
	s.Stderr = s.log
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start())
	line := make([]byte, 256)
	n, _ := out.Read(line)
	s.url = strings.TrimSuffix(strings.TrimPrefix(string(line[:n]), "ready "), "\n")
	if !strings.HasPrefix(s.url, "http://") {
		_ = s.Process.Kill()
		_ = s.Wait()
		t.Fatalf("not ready: %q\n%s", line[:n], s.log)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s
}

// stop ends the server in good order.
func (s *server) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Process.Signal(os.Interrupt))
	require.NoError(t, s.Wait(), "%s", s.log)
}

// kill ends it as a power cut would.
func (s *server) kill() {
	_ = s.Process.Kill()
	_ = s.Wait()
}

// packed writes the examples into a folder.
func packed(t *testing.T) (paths map[string]string) {
	t.Helper()
	paths = map[string]string{}
	dir := t.TempDir()
	for _, name := range examples.Names() {
		paths[name] = filepath.Join(dir, name+".zip")
		f, err := os.Create(paths[name])
		require.NoError(t, err)
		require.NoError(t, examples.Pack(name, f))
		require.NoError(t, f.Close())
	}
	return paths
}

type result struct {
	TaskID, Status, Because string
	SubTasks                []struct {
		Type, State  string
		Attempt      int
		Result, Kind *string
		Reason       *string
		Counts       struct{ Error, Warning, Note int }
	}
	Declined []struct{ Type, Code, Reason string }
	Silent   []string
	Findings []struct {
		Type, Rule, Severity, Message string
		Path, Cell, Pointer           *string
		Line                          *int
		Suppressed                    bool
	}
}

func TestCheckAnswersEveryExampleAsPromised(t *testing.T) {
	t.Parallel()
	paths := packed(t)
	s := serve(t, t.TempDir(), "--window", "1m", "--quiet", "1s")
	defer s.kill()
	codes := map[string]int{"SUCCESS": 0, "PARTIAL_SUCCESS": 1, "FAILED": 2}
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			want, err := examples.Expected(name)
			require.NoError(t, err)
			got := run(t, "check", paths[name], "--server", s.url, "--json")
			require.Equal(t, codes[want.Status], got.code, "%s\n%s", got.out, got.errors)
			var r result
			require.NoError(t, json.Unmarshal([]byte(got.out), &r))
			require.Equal(t, want.Status, r.Status)
			require.NotEmpty(t, r.Because)
			require.Empty(t, r.Silent)
			outcomes := map[string]string{}
			for _, d := range r.Declined {
				outcomes[d.Type] = "DECLINED"
				require.NotEmpty(t, d.Code)
				require.NotEmpty(t, d.Reason)
			}
			for _, sub := range r.SubTasks {
				require.Equal(t, 1, sub.Attempt)
				outcomes[sub.Type] = sub.State
				if sub.Result != nil {
					outcomes[sub.Type] = *sub.Result
				}
			}
			for name, outcome := range want.Types {
				require.Equal(t, outcome.Result, outcomes[name])
				found := map[string]int{}
				for _, f := range r.Findings {
					if f.Type == name && !f.Suppressed {
						found[f.Rule]++
						require.Contains(t, []string{"error", "warning", "note"}, f.Severity)
					}
				}
				for rule, n := range outcome.Findings {
					require.Equal(t, n, found[rule], rule)
				}
				require.Len(t, found, len(outcome.Findings))
			}

			history := run(t, "history", r.TaskID, "--server", s.url, "--json")
			require.Zero(t, history.code, history.errors)
			var facts []factView
			require.NoError(t, json.Unmarshal([]byte(history.out), &facts))
			require.Equal(t, "ZipUploaded", facts[0].Type)
			require.Equal(t, "MainTaskConverged", facts[len(facts)-1].Type)
			for i, f := range facts {
				require.Equal(t, i, f.Revision)
			}
		})
	}
	s.stop(t)
}

func TestCheckSpeaksBothLanguages(t *testing.T) {
	t.Parallel()
	paths := packed(t)
	for lang, words := range map[string][]string{
		"en": {"task ", "takes part", "PARTIAL_SUCCESS: 3 of 4 passed", "rule that held: some", "took part", "declined", "known, but silent", "SQL002"},
		"zh": {"任务创建成功", "参与", "4 项中 3 项通过", "成立的规则：some", "不参与", "已知但未响应", "SQL002"},
	} {
		got := run(t, "check", paths["retail-1.5.0-rc1"], "--lang", lang, "--quiet", "1s")
		require.Equal(t, 1, got.code, got.errors)
		for _, w := range words {
			require.Contains(t, got.out, w)
		}
		require.Empty(t, got.errors, "an embedded server has nothing to say")
	}
}

func TestWhatIsNotAVerdictHasItsOwnExitCode(t *testing.T) {
	t.Parallel()
	notZip := filepath.Join(t.TempDir(), "a.zip")
	require.NoError(t, os.WriteFile(notZip, []byte("hello"), 0o600))
	s := serve(t, t.TempDir(), "--quiet", "1h")
	defer s.kill()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"refused":        {[]string{"check", notZip, "--server", s.url}, 3, "zip.not_a_zip"},
		"no verdict":     {[]string{"check", packed(t)["docs-only"], "--server", s.url, "--timeout", "2s"}, 4, "no verdict within 2s"},
		"no file":        {[]string{"check", "/nowhere/a.zip", "--server", s.url}, 5, "cannot read the package"},
		"no argument":    {[]string{"check"}, 5, "factgate check FILE.zip"},
		"bad URL":        {[]string{"check", notZip, "--server", "localhost"}, 5, "is not a URL such as"},
		"bad flag":       {[]string{"check", "--nope"}, 5, "--nope"},
		"bad language":   {[]string{"check", notZip, "--lang", "fr"}, 5, "use zh or en"},
		"unknown task":   {[]string{"history", "018f4e2a-0000-7000-8000-000000000001", "--server", s.url}, 5, "there is no such task"},
		"not a task id":  {[]string{"history", "x", "--server", s.url}, 5, "UUID"},
		"address in use": {[]string{"run", "--data", t.TempDir(), "--listen", strings.TrimPrefix(s.url, "http://")}, 5, "choose another address"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, c.args...)
			require.Equal(t, c.code, got.code, got.errors)
			require.Contains(t, got.errors, c.says)
			require.LessOrEqual(t, strings.Count(got.errors, "\n"), 2, "one clear line: %s", got.errors)
		})
	}
	refused := run(t, "check", notZip, "--server", s.url, "--json")
	require.Equal(t, 3, refused.code)
	require.JSONEq(t, fmt.Sprintf(`{"refused":{"code":"zip.not_a_zip","message":%q}}`, refusedMessage(t, refused.out)), refused.out)
	s.stop(t)
}

func refusedMessage(t *testing.T, out string) string {
	var r struct{ Refused struct{ Message string } }
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.NotEmpty(t, r.Refused.Message)
	return r.Refused.Message
}

// A node of its own serves a Factgate, and is not shared by two processes.
func TestANodeRunsAlone(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	cmd := factgate(t.Context(), "node", "--data", data, "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	connection, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	require.True(t, ok, line)
	require.True(t, strings.HasPrefix(connection, "esdb://127.0.0.1:"), line)

	second := run(t, "node", "--data", data, "--listen", "127.0.0.1:0")
	require.Equal(t, exitError, second.code)
	require.Contains(t, second.errors, data)

	s := serve(t, t.TempDir(), "--eventstore", connection, "--quiet", "1s")
	defer s.kill()
	require.Zero(t, run(t, "check", packed(t)["retail-1.4.0"], "--server", s.url).code)
	s.stop(t)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
}
