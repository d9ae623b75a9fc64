package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/controllers"
)

// uninstallCommand is the first argument of what the chart runs when it is
// uninstalled.
const uninstallCommand = "uninstall"

// uninstall makes the custom resources independent of the operator.
func uninstall(ctx context.Context, config *rest.Config, args []string, stderr io.Writer) error {
	o := controllers.LeaveOptions{Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	flags := flag.NewFlagSet("manager "+uninstallCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	namespaces := flags.String("namespaces", "", "namespaces that the operator looked after, separated by commas; empty: all")
	flags.BoolVar(&o.Delete, "delete", false, "delete all functions and event types; else they stay, and can be deleted without an operator")
	flags.DurationVar(&o.Patience, "patience", 2*time.Minute, "how long the operator gets to clean up after what is deleted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: --help lists the settings", flags.Arg(0))
	}
	o.Namespaces = splitNames(*namespaces)
	c, err := newClient(config)
	if err != nil {
		return err
	}
	return controllers.Leave(ctx, c, o)
}

// newClient returns a client for what a command does once, without a cache.
func newClient(config *rest.Config) (client.Client, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API server: %w", err)
	}
	return c, nil
}

// splitNames reads names separated by commas or spaces.
func splitNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
