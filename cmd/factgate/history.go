package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func historyCommand() *cobra.Command {
	var server string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history TASK",
		Short: "Print a task's facts in the order in which they were recorded",
		Long: `History prints every fact of a task, in replayable order: folding them in this
order gives the task's state and its verdict. It reads the task's stream itself,
not the read model, so it works while PostgreSQL is away.

With --json it prints a JSON array with one fact a line.`,
		Args: oneTask("factgate history TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			if server == "" {
				server = "http://127.0.0.1:8080"
			}
			c, err := newClient(server, zh)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(os.Stdout)
			show := printFact
			if asJSON {
				show = printFactJSON
			}
			n := 0
			err = c.history(cmd.Context(), args[0], func(f factView) error {
				n++
				return show(out, n, f)
			})
			if err != nil {
				return err
			}
			if asJSON {
				fmt.Fprintln(out, "\n]")
			}
			return out.Flush()
		},
	}
	serverFlag(cmd, &server, "http://127.0.0.1:8080")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, one fact a line")
	return cmd
}

func printFactJSON(out *bufio.Writer, n int, f factView) error {
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	start := ",\n"
	if n == 1 {
		start = "[\n"
	}
	_, err = out.WriteString(start + string(line))
	return err
}

func printFact(out *bufio.Writer, _ int, f factView) error {
	late := ""
	if f.Late {
		late = " (late)"
	}
	by := ""
	if f.Actor != nil {
		by = "  by " + *f.Actor
	}
	_, err := fmt.Fprintf(out, "%4d  %s  %s%s%s\n      %s\n", f.Revision, f.RecordedAt.Format("2006-01-02 15:04:05.000"), f.Type, late, by, f.Data)
	return err
}
