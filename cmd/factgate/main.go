// Command factgate is Factgate's one binary. It is the only place that wires
// parts together: see app.go. To add a scan type, add its folder below scanners/
// and its line in scannerList.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/excel"
	"github.com/factgate/factgate/scanners/external"
	"github.com/factgate/factgate/scanners/openapi"
	"github.com/factgate/factgate/scanners/sql"
	"github.com/factgate/factgate/scanners/unittest"
	"github.com/factgate/factgate/scanners/wedata"
)

// scannerList is every scanner that this binary runs; one line each.
func scannerList() []scanners.Scanner {
	return []scanners.Scanner{
		sql.New(),
		excel.New(excel.Config{}),
		unittest.New(unittest.Config{}),
		wedata.New(),
		openapi.New(openapi.Config{}),
	}
}

// Exit codes. README.md and `factgate check --help` promise them.
const (
	exitSuccess        = 0
	exitPartialSuccess = 1
	exitFailed         = 2
	exitRefused        = 3
	exitNoVerdict      = 4
	exitError          = 5
)

// exit is an outcome that is told by an exit code. An empty message says nothing
// more: everything has been printed.
type exit struct {
	code    int
	message string
}

func (e *exit) Error() string { return e.message }

func main() {
	external.Enter()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	err := root().ExecuteContext(ctx)
	code := exitSuccess
	if err != nil {
		code = exitError
		var e *exit
		if errors.As(err, &e) {
			code = e.code
		}
		if err.Error() != "" {
			fmt.Fprintln(os.Stderr, "factgate:", err)
		}
	}
	os.Exit(code)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "factgate",
		Short: "Can we release this package? A quality gate built on facts.",
		Long: `Factgate answers "can we release this package?" (这个版本包可以发布吗？).

It takes a version zip of a big-data product, lets independent scanners publish
facts about it, and converges to a verdict that always comes, explains itself and
can be traced.

  factgate check package.zip     upload, wait, explain; the exit code is the verdict
  factgate run                   a whole Factgate in one process`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(roleCommands()...)
	cmd.PersistentFlags().String("lang", "", "language of texts: zh or en (default: FACTGATE_LANG, else the locale)")
	cmd.AddCommand(runCommand(), checkCommand(), historyCommand(), explainCommand(), dossierCommand(), rulesCommand(), nodeCommand())
	cmd.AddCommand(cancelCommand(), retryCommand(), rescanCommand(), catalogueCommand(), deadLettersCommand(), scannersCommand(), readModelCommand(), trendsCommand())
	cmd.AddCommand(showCommand(), projectCommand(), personsCommand(), blobsCommand(), scanCommand(), waiversCommand())
	return cmd
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

// chinese reports whether texts should be in Chinese.
func chinese(cmd *cobra.Command) (bool, error) {
	lang, err := cmd.Flags().GetString("lang")
	if err != nil {
		return false, err
	}
	switch lang {
	case "zh":
		return true, nil
	case "en":
		return false, nil
	case "":
	default:
		return false, fmt.Errorf("--lang %q is not known; use zh or en", lang)
	}
	for _, name := range []string{"FACTGATE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return strings.HasPrefix(strings.ToLower(v), "zh"), nil
		}
	}
	return false, nil
}

func onTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
