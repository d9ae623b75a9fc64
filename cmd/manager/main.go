// Command manager is the operator: it makes runners of WildoutFunctions. Only
// the program has that name, with its image, its ServiceAccount and its part of
// the chart's values, which people have in their own files.
// `manager --help` lists its settings.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	if err := run(ctrl.SetupSignalHandler(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

// run runs the operator until ctx ends, prepares its installation, or takes leave.
func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, *rest.Config, []string, io.Writer) error{uninstallCommand: uninstall, prepareCommand: prepare}
	if len(args) > 0 && commands[args[0]] != nil {
		config, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the Kubernetes API server: %w", err)
		}
		if err := commands[args[0]](ctx, config, args[1:], os.Stderr); !errors.Is(err, flag.ErrHelp) {
			return err
		}
		return nil
	}
	o, err := parse(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.level}))
	ctrl.SetLogger(logr.FromSlogHandler(logger.Handler()))
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the Kubernetes API server: %w", err)
	}
	mgr, err := newOperator(ctx, config, o, logger)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("the operator ended: %w", err)
	}
	return nil
}
