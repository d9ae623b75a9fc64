package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// options are the flags.
type options struct {
	functions, types, namespaces, nodes int
	window, settle                      time.Duration
	busy                                int
	rate                                float64
	redisServer                         string
	manager                             []string // more flags of the manager
}

func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.functions, "functions", 1000, "WildoutFunctions")
	flags.IntVar(&o.types, "types", 50, "WildoutEventTypes")
	flags.IntVar(&o.namespaces, "namespaces", 10, "namespaces that they are in")
	flags.IntVar(&o.nodes, "nodes", 10, "fake nodes")
	flags.DurationVar(&o.window, "window", 2*time.Minute, "length of one measurement of a steady state")
	flags.DurationVar(&o.settle, "settle", 5*time.Minute, "how long it may take until nothing is written any more")
	flags.IntVar(&o.busy, "busy", 100, "functions that get events, at least")
	flags.Float64Var(&o.rate, "rate", 10, "events per second, each for all functions of its type")
	flags.StringVar(&o.redisServer, "redis-server", "redis-server", "the program")
	flags.Usage = func() {
		fmt.Fprintln(usage, "fleet [flags] [-- flags of the manager]\n\nMeasures on the cluster of the current kubeconfig.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.manager = flags.Args()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return o, nil
}

// Validate reports every setting that is wrong.
func (o *options) Validate() error {
	var errs []error
	for name, n := range map[string]int{"functions": o.functions, "types": o.types, "namespaces": o.namespaces, "nodes": o.nodes, "busy": o.busy} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("--%s is %d, and must be at least 1", name, n))
		}
	}
	if n := max(o.namespaces, 1); o.types%n != 0 || o.types == n {
		errs = append(errs, fmt.Errorf("--types is %d, and must be twice --namespaces (%d), or another multiple of it: some functions read two types", o.types, n))
	}
	if o.busy > o.functions {
		errs = append(errs, fmt.Errorf("--busy is %d, more than there are functions", o.busy))
	}
	if o.window < 10*time.Second || o.settle < 0 {
		errs = append(errs, fmt.Errorf("--window is %s and --settle %s: the first must be at least 10s, the second not below 0", o.window, o.settle))
	}
	if o.rate <= 0 {
		errs = append(errs, fmt.Errorf("--rate is %g, and must be more than 0", o.rate))
	}
	return errors.Join(errs...)
}
