package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/eventstore/node"
)

func nodeCommand() *cobra.Command {
	o := node.Options{}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run the embedded event store alone",
		Long: `Node runs the embedded event store in a process of its own. When it serves it
prints one line on standard output, a connection string for --eventstore and for
any EventStoreDB client:

  ready esdb://127.0.0.1:2113?tls=false

Whoever reaches its address may read and append: keep it on a loopback or private
address. One process at a time owns a data folder; a second one is refused.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
			n, err := node.Open(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Println("ready", n.ConnectionString())
			<-cmd.Context().Done()
			o.Logger.Info("stopping")
			return n.Close()
		},
	}
	cmd.Flags().StringVar(&o.Dir, "data", "factgate-node", "data folder")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:2113", "address to serve; port 0 takes a free one")
	return cmd
}
