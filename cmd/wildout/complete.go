package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
)

// completeWithin is how long somebody who pressed Tab may wait.
const completeWithin = time.Second

// completer asks the server for what may stand on the command line. If it does
// not answer in time, nothing is suggested.
func (a *apiFlags) completer(find func(context.Context, *console.Client) []cobra.Completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, head string) ([]cobra.Completion, cobra.ShellCompDirective) {
		client, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completeWithin)
		defer cancel()
		var fit []cobra.Completion
		for _, c := range find(ctx, client) {
			if strings.HasPrefix(c, head) {
				fit = append(fit, c)
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *apiFlags) completeFunctions() cobra.CompletionFunc {
	return a.completer(func(ctx context.Context, client *console.Client) (names []cobra.Completion) {
		all, _ := client.Functions(ctx) // nobody answers: nothing is suggested
		for _, f := range all {
			names = append(names, cobra.CompletionWithDesc(f.Name, f.Description))
		}
		return names
	})
}

func (a *apiFlags) completeRuns() cobra.CompletionFunc {
	return a.completer(func(ctx context.Context, client *console.Client) (ids []cobra.Completion) {
		page, _ := client.Runs(ctx, console.RunQuery{Limit: 50})
		for i := range page.Runs {
			r := &page.Runs[i]
			ids = append(ids, cobra.CompletionWithDesc(r.ID, r.Function+" "+string(r.Status)+" "+term.Ago(r.StartedAt, time.Now())))
		}
		return ids
	})
}

func (a *apiFlags) completeTypes() cobra.CompletionFunc {
	return a.completer(func(ctx context.Context, client *console.Client) (names []cobra.Completion) {
		all, _ := client.EventTypes(ctx)
		for _, t := range all {
			about := t.Description
			if about == "" && len(t.Triggers) > 0 {
				about = "starts " + strings.Join(t.Triggers, ", ")
			}
			names = append(names, cobra.CompletionWithDesc(t.Type, about))
		}
		return names
	})
}

func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, complete) // the flag exists
}
