// Command pack writes the example packages as zips:
//
//	go run ./examples/pack -out DIR [NAME…]
//
// Without names it writes all of them. It prints one line for each: the zip, a
// tab, and the status that it deserves under the default rules.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/factgate/factgate/examples"
)

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "", "the folder to write to; it is made if it is missing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("say where to write to: -out DIR")
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		names = examples.Names()
	}
	for _, name := range names {
		expected, err := examples.Expected(name)
		if err != nil {
			return err
		}
		at := filepath.Join(*out, name+".zip")
		if err := write(at, name); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "%s\t%s\n", at, expected.Status); err != nil {
			return err
		}
	}
	return nil
}

// write replaces the zip at once, so that whoever watches the folder never reads
// half of it.
func write(at, name string) error {
	temporary, err := os.CreateTemp(filepath.Dir(at), ".pack-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // nothing is left there after the rename
	defer temporary.Close()
	buffer := bufio.NewWriter(temporary)
	if err := examples.Pack(name, buffer); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	if err := temporary.Chmod(0o644); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), at)
}
