package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/export"
	"github.com/factgate/factgate/eventstore/node"
)

// nodeTarget is the event store that a tool works on: the one that has a data
// folder, running or not, or the one behind a connection string.
type nodeTarget struct {
	data, connection string
	json             bool
}

func (t *nodeTarget) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.data, "data", "factgate-node", "data folder of the node; a node that runs on it is asked, else the folder is opened")
	cmd.Flags().StringVar(&t.connection, "eventstore", os.Getenv("FACTGATE_EVENTSTORE"), "connection string, esdb://…, instead of --data (default: FACTGATE_EVENTSTORE, where a password is out of sight)")
	cmd.Flags().BoolVar(&t.json, "json", false, "the result as JSON on standard output")
	cmd.Flags().SortFlags = false
}

// open calls with a connection string for as long as use takes.
func (t *nodeTarget) open(ctx context.Context, use func(ctx context.Context, connection string, own *node.Node) error) error {
	if t.connection != "" {
		return use(ctx, t.connection, nil)
	}
	if _, err := os.Stat(t.data); err != nil {
		return fmt.Errorf("--data: %w; name the folder of a node, or a running one with --eventstore", err)
	}
	n, err := node.Open(ctx, node.Options{Dir: t.data, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if errors.Is(err, node.ErrInUse) {
		address, failed := os.ReadFile(filepath.Join(t.data, node.AddressFile))
		if failed != nil {
			return fmt.Errorf("%w, and its address is not known; name it with --eventstore", err)
		}
		connection := strings.TrimSpace(string(address))
		if strings.HasSuffix(connection, "tls=true") {
			return fmt.Errorf("a secure node runs on %s: name it with --eventstore 'esdb://USER:PASSWORD@…', or in FACTGATE_EVENTSTORE", t.data)
		}
		return use(ctx, connection, nil)
	}
	if err != nil {
		return err
	}
	return errors.Join(use(ctx, n.ConnectionString(), n), n.Close())
}

// work runs a tool, here or in the node that runs, and prints its report.
func work[R any](cmd *cobra.Command, t *nodeTarget, path string, tool func(*node.Node, context.Context, node.Progress) (R, error), text func(R) string) error {
	return t.open(cmd.Context(), func(ctx context.Context, connection string, n *node.Node) (err error) {
		shown := newStepLine()
		defer shown.end()
		var result R
		if n != nil {
			result, err = tool(n, ctx, shown.show)
		} else {
			var answer []byte
			if answer, err = askNode(ctx, connection, path, shown.show); err == nil {
				err = json.Unmarshal(answer, &result)
			}
		}
		if err != nil {
			return err
		}
		shown.end()
		return t.say(os.Stdout, result, text(result))
	})
}

func nodeVerifyCommand() *cobra.Command {
	var t nodeTarget
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything a node holds and check it",
		Long: `Verify reads every record, index entry and stream head of a node and checks that
they are whole and agree. It ends with 5 at the first damage and says where it is.
A node that runs goes on serving.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return work(cmd, &t, "verify", (*node.Node).Verify, func(r node.VerifyReport) string {
				return fmt.Sprintf("whole: %d events in %d streams, %s, up to position %d", r.Events, r.Streams, bytesText(r.Bytes), r.Position)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func nodeScavengeCommand() *cobra.Command {
	var t nodeTarget
	cmd := &cobra.Command{
		Use:   "scavenge",
		Short: "Take away what stream metadata and deletions have released",
		Long: `Scavenge takes away the events that $tb, $maxCount, $maxAge and deletions have
released, and gives their space back. What a stream shows stays as it is; $all no
longer shows them. It may be broken off and repeated. A node that runs goes on serving.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return work(cmd, &t, "scavenge", (*node.Node).Scavenge, func(r node.ScavengeReport) string {
				return fmt.Sprintf("%d events taken away, %s, in %d streams", r.Events, bytesText(r.Bytes), r.Streams)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func nodeBackupCommand() *cobra.Command {
	var t nodeTarget
	var out string
	cmd := &cobra.Command{
		Use:   "backup -o FILE",
		Short: "Back up a node while it runs",
		Long: `Backup writes a tar archive of everything that was acknowledged when it began. A
node that runs goes on serving. FILE appears when it is whole; - is standard output.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.open(cmd.Context(), func(ctx context.Context, connection string, n *node.Node) error {
				count := &counter{}
				err := writeWhole(out, func(w io.Writer) error {
					count.w = w
					if n != nil {
						_, err := n.Backup(ctx, count)
						return err
					}
					return fetchBackup(ctx, connection, count)
				})
				if err != nil || out == "-" {
					return err
				}
				return t.say(os.Stdout, map[string]any{"file": out, "bytes": count.n},
					fmt.Sprintf("%s: %s; put it back with  factgate node restore %s --data DIR", out, bytesText(count.n), out))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func nodeRestoreCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data folder out of a backup, and verify it",
		Long:  "Restore makes a data folder out of a backup; - is standard input. The folder must not hold anything yet, and appears only when it is whole.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := openInput(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			notice, err := node.Restore(cmd.Context(), data, bufio.NewReaderSize(in, 1<<20))
			if err != nil {
				return err
			}
			n, err := node.Open(cmd.Context(), node.Options{Dir: data})
			if err != nil {
				return err
			}
			report, err := n.Verify(cmd.Context(), nil)
			if err = errors.Join(err, n.Close()); err != nil {
				return fmt.Errorf("the backup was unpacked into %s and is damaged: %w", data, err)
			}
			fmt.Printf("%s: %d events up to position %d, backed up %s, whole\n", data, report.Events, report.Position, notice.Made.Format(time.RFC3339))
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "factgate-node", "data folder to make")
	return cmd
}

func nodeExportCommand() *cobra.Command {
	var t nodeTarget
	var out string
	var after uint64
	cmd := &cobra.Command{
		Use:   "export [-o FILE]",
		Short: "Write the events of any event store as JSON lines",
		Long: `Export writes every event of the store, one JSON object a line, in the order of the
log: the embedded node's, or with --eventstore those of an EventStoreDB or KurrentDB.
The store's own bookkeeping and stream metadata are left out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.log(cmd.Context(), func(ctx context.Context, log eventstore.Log) error {
				shown := newStepLine()
				defer shown.end()
				var done export.Done
				err := writeWhole(out, func(w io.Writer) (err error) {
					done, err = export.Export(ctx, log, w, eventstore.Position(after), func(d export.Done) { shown.show("events", d.Events, 0) })
					return err
				})
				if err != nil {
					return err
				}
				shown.end()
				to := os.Stdout
				if out == "-" { // where the events are
					to = os.Stderr
				}
				return t.say(to, map[string]any{"events": done.Events, "position": done.Position},
					fmt.Sprintf("%d events up to position %d; go on from there with --after %d", done.Events, done.Position, done.Position))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "-", "file to write; - is standard output")
	cmd.Flags().Uint64Var(&after, "after", 0, "begin behind this position")
	return cmd
}

func nodeImportCommand() *cobra.Command {
	var t nodeTarget
	var renumber bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Append exported events to any event store",
		Long: `Import appends what export has written; - is standard input. Streams and event ids
stay what they were, so an import that broke off is simply repeated: nothing is
appended twice. A stream that holds other events is refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := openInput(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return t.log(cmd.Context(), func(ctx context.Context, log eventstore.Log) error {
				shown := newStepLine()
				defer shown.end()
				done, err := export.Import(ctx, log, in, export.Options{Renumber: renumber, Progress: func(d export.Done) { shown.show("events", d.Events, 0) }})
				if err != nil {
					return err
				}
				shown.end()
				return t.say(os.Stdout, map[string]any{"events": done.Events}, fmt.Sprintf("%d events are there", done.Events))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&renumber, "renumber", false, "take streams whose first events are missing, and number them anew")
	return cmd
}

// log opens the target through the contract.
func (t *nodeTarget) log(ctx context.Context, use func(context.Context, eventstore.Log) error) error {
	return t.open(ctx, func(ctx context.Context, connection string, _ *node.Node) error {
		log, err := esdb.Open(ctx, connection, esdb.Options{Timeout: 30 * time.Second})
		if err != nil {
			return err
		}
		return errors.Join(use(ctx, log), log.Close())
	})
}

// say prints a result as a line of text or of JSON.
func (t *nodeTarget) say(to io.Writer, asJSON any, text string) error {
	if t.json {
		return json.NewEncoder(to).Encode(asJSON)
	}
	_, err := fmt.Fprintln(to, text)
	return err
}

// nodeRequest is a request to the HTTP side of the node that a connection string
// names.
func nodeRequest(ctx context.Context, method, connection, path string) (*http.Client, *http.Request, error) {
	u, err := url.Parse(connection)
	if err != nil || u.Scheme != "esdb" && u.Scheme != "esdb+discover" || u.Host == "" {
		return nil, nil, errors.New("--eventstore is not a connection string such as esdb://127.0.0.1:2113?tls=false")
	}
	options := map[string]string{} // their names know no case
	for name, values := range u.Query() {
		options[strings.ToLower(name)] = values[0]
	}
	host, _, several := strings.Cut(u.Host, ",")
	if several {
		return nil, nil, errors.New("this works on an embedded node, and --eventstore names a cluster")
	}
	transport := &http.Transport{}
	scheme := "https"
	if options["tls"] == "false" {
		scheme = "http"
	} else {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: options["tlsverifycert"] == "false"} //nolint:gosec // what the user asks for
		if file := options["tlscafile"]; file != "" {
			pem, err := os.ReadFile(file)
			if err != nil {
				return nil, nil, fmt.Errorf("tlsCaFile: %w", err)
			}
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
				return nil, nil, fmt.Errorf("tlsCaFile %s holds no certificate in PEM", file)
			}
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://"+host+"/admin/"+path, nil)
	if err != nil {
		return nil, nil, err
	}
	if password, ok := u.User.Password(); ok {
		req.SetBasicAuth(u.User.Username(), password)
	}
	return &http.Client{Transport: transport}, req, nil
}

func nodeAnswer(ctx context.Context, method, connection, path string) (io.ReadCloser, error) {
	client, req, err := nodeRequest(ctx, method, connection, path)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the node: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound:
		err = errors.New("this works on an embedded node, and the server at --eventstore is none")
	default:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		err = fmt.Errorf("the node answers %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return nil, errors.Join(err, resp.Body.Close())
}

// askNode has a running node do long work.
func askNode(ctx context.Context, connection, path string, progress node.Progress) (report []byte, err error) {
	body, err := nodeAnswer(ctx, http.MethodPost, connection, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		var line node.AdminLine
		switch err := lines.Decode(&line); {
		case err != nil:
			return nil, fmt.Errorf("the node broke off: %w", err)
		case line.Error != "":
			return nil, errors.New(line.Error)
		case line.Report != nil:
			return line.Report, nil
		}
		progress(line.Step, line.Done, line.Total)
	}
}

func fetchBackup(ctx context.Context, connection string, w io.Writer) error {
	body, err := nodeAnswer(ctx, http.MethodGet, connection, "backup")
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("the node broke the backup off, its log says why: %w", err)
	}
	return nil
}

// writeWhole lets a file appear when it is whole.
func writeWhole(name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(os.Stdout)
	}
	unfinished, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(unfinished.Name())
	out := bufio.NewWriterSize(unfinished, 1<<20)
	if err = write(out); err == nil {
		err = errors.Join(out.Flush(), unfinished.Sync())
	}
	if err = errors.Join(err, unfinished.Close()); err != nil {
		return err
	}
	return os.Rename(unfinished.Name(), name)
}

func openInput(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	return os.Open(name)
}

// counter counts what goes through.
type counter struct {
	w io.Writer
	n uint64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += uint64(n)
	return n, err
}

func bytesText(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

// stepLine shows on standard error how far long work is: one line that is written
// over on a terminal, and none elsewhere.
type stepLine struct {
	terminal bool
	shown    time.Time
	width    int
}

func newStepLine() *stepLine { return &stepLine{terminal: term.IsTerminal(int(os.Stderr.Fd()))} }

func (s *stepLine) show(step string, done, total uint64) {
	now := time.Now()
	if !s.terminal || now.Sub(s.shown) < 100*time.Millisecond {
		return
	}
	s.shown = now
	text := fmt.Sprintf("%s: %d", step, done)
	if total > 0 {
		text = fmt.Sprintf("%s of %d, %d %%", text, total, done*100/total)
	}
	fmt.Fprintf(os.Stderr, "\r%-*s", s.width, text)
	s.width = len(text)
}

func (s *stepLine) end() {
	if s.terminal && s.width > 0 {
		fmt.Fprintf(os.Stderr, "\r%*s\r", s.width, "")
		s.width = 0
	}
}
