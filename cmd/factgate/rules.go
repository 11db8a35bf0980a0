package main

import "github.com/spf13/cobra"

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Try rule sets",
	}
	cmd.AddCommand(rulesDryRunCommand())
	return cmd
}
