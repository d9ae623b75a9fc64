package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/cluster"
	"github.com/wildout/wildout/cmd/wildout/internal/describe"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
)

func describeCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "describe",
		Short:   "Tell what is with a function in a cluster",
		Example: "  wildout describe function send-welcome-email -n shop",
	}, describeFunctionCommand())
}

func describeFunctionCommand() *cobra.Command {
	var o cluster.Options
	output := term.Text
	cmd := &cobra.Command{
		Use:     "function [NAME]...",
		Aliases: []string{"functions", "fn", "wildoutfunction", "wildoutfunctions", "wfn"},
		Short:   "Show a function with its conditions, event types, pods, versions and events",
		Long: `Shows what is with a function, or with all of the namespace: its conditions and
what they say, its event types, its Deployment with the pods and what they are
stuck on, the versions that runs still need, the numbers of its runs, and what
Kubernetes has noted lately. All of it comes from the API server, as the
kubeconfig says; who may view the namespace may describe.`,
		Example: `  wildout describe function send-welcome-email
  wildout describe function send-welcome-email -n shop --context production
  wildout describe function -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := cluster.Connect(o)
			if err != nil {
				return err
			}
			return describeFunctions(cmd, c, names, output)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, head string) (fit []cobra.Completion, _ cobra.ShellCompDirective) {
			if c, err := cluster.Connect(o); err == nil {
				names, _ := describe.Names(cmd.Context(), c) // nobody answers: nothing is suggested
				for _, name := range names {
					if strings.HasPrefix(name, head) {
						fit = append(fit, name)
					}
				}
			}
			return fit, cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().VarP(&output, "output", "o", "how to print: text, json, yaml, or name")
	completeFlag(cmd, "output", cobra.FixedCompletions(term.Formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func describeFunctions(cmd *cobra.Command, c *cluster.Cluster, names []string, output term.Format) (err error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	all := len(names) == 0
	if all {
		if names, err = describe.Names(ctx, c); err != nil {
			return err
		}
		if len(names) == 0 && !output.Machine() {
			_, err := fmt.Fprintf(out, "no functions in the namespace %s\n", c.Namespace)
			return err
		}
	}
	described := make([]*describe.Function, 0, len(names))
	for i, name := range names {
		if output == term.Name {
			fmt.Fprintln(out, name)
			continue
		}
		f, err := describe.Read(ctx, c, name)
		if err != nil {
			return err
		}
		described = append(described, f)
		if output.Machine() {
			continue
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		style := term.StyleFor(out)
		if err := style.Tree(out, f.Tree(style, time.Now())); err != nil {
			return err
		}
	}
	switch {
	case !output.Machine():
		return nil
	case len(names) == 1 && !all:
		return output.Print(out, described[0])
	}
	return output.Print(out, described)
}
