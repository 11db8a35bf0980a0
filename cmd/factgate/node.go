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
	var usersFile string
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run the embedded event store alone",
		Long: `Node runs the embedded event store in a process of its own. When it serves it
prints one line on standard output, a connection string for --eventstore and for
any EventStoreDB client:

  ready esdb://127.0.0.1:2113?tls=false

Whoever reaches its address may read and append: keep it on a loopback or private
address. With --tls-cert and --tls-key it speaks TLS only and asks for a user and a
password. The user admin has the password in FACTGATE_NODE_ADMIN_PASSWORD; --users-file
names a file of more, one NAME:PASSWORD in each line. Every user may do everything. A
certificate whose files are replaced is in use from the next connection on.

The same port answers HTTP: /health/live, /info and /stats.

One process at a time owns a data folder; a second one is refused.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
			var err error
			if o.Users, err = nodeUsers(usersFile, o.CertFile != "", o.Logger); err != nil {
				return err
			}
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
	cmd.Flags().StringVar(&o.Advertise, "advertise", "", "HOST:PORT under which clients reach it, if that is another one")
	cmd.Flags().StringVar(&o.CertFile, "tls-cert", "", "PEM file with the certificate, and with what leads to its root")
	cmd.Flags().StringVar(&o.KeyFile, "tls-key", "", "PEM file with the certificate's key")
	cmd.Flags().StringVar(&usersFile, "users-file", "", "file of NAME:PASSWORD lines")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	cmd.AddCommand(nodeVerifyCommand(), nodeScavengeCommand(), nodeBackupCommand(), nodeRestoreCommand(), nodeExportCommand(), nodeImportCommand())
	return cmd
}
