package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The values of --appendfsync: no append-only file, one fsync a second, or one
// before each reply.
const (
	fsyncNone     = "none"
	fsyncEverySec = "everysec"
	fsyncAlways   = "always"
)

// The values of -o.
const (
	outputTable = "table"
	outputJSON  = "json"
)

// lightRate is the light load, in events per second.
const lightRate = 100

// options says what to measure and how long.
type options struct {
	// Systems are the names of the contenders, in the order of a round.
	Systems []string
	// Runs is how many runs the fastest systems drain in one measurement;
	// slower ones get their share of it (contender.share).
	Runs int
	// Rounds is how often every measurement is taken; the median is reported.
	Rounds int
	// Light is how long the light load lasts.
	Light time.Duration
	// AppendFsync is how durable the server is: none, everysec or always.
	AppendFsync string
	// RedisServer is the server's binary, looked up in PATH.
	RedisServer string
	// Output is table or json.
	Output string
	// CPUProfile is a file for a CPU profile of this process. May be empty.
	CPUProfile string
}

// parseOptions reads the flags. --quick changes what no other flag sets.
func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	var systems string
	var quick bool
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.StringVar(&systems, "systems", strings.Join(contenderNames(), ","), "what to compare, comma-separated, in this order")
	fs.IntVar(&o.Runs, "runs", 60_000, "runs per measurement of the fastest systems; slower ones get a share")
	fs.IntVar(&o.Rounds, "rounds", 3, "rounds; the median of them is reported")
	fs.DurationVar(&o.Light, "light", 10*time.Second, "how long the light load of 100 events/s lasts")
	fs.BoolVar(&quick, "quick", false, "one round of everything in about a minute: a look, not a result")
	fs.StringVar(&o.AppendFsync, "appendfsync", fsyncEverySec, "durability of the server: none (no append-only file), everysec or always")
	fs.StringVar(&o.RedisServer, "redis-server", "redis-server", "the server's binary")
	fs.StringVar(&o.Output, "o", outputTable, "output: table or json")
	fs.StringVar(&o.CPUProfile, "cpuprofile", "", "write a CPU profile of this process to a file")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("argument %q is not expected; see --help", fs.Arg(0))
	}
	o.Systems = strings.Split(systems, ",")
	if quick {
		o.makeQuick(fs)
	}
	err := o.Validate()
	return o, err
}

func (o *options) makeQuick(fs *flag.FlagSet) {
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if !set["runs"] {
		o.Runs = 40_000
	}
	if !set["rounds"] {
		o.Rounds = 1
	}
	if !set["light"] {
		o.Light = 2 * time.Second
	}
}

// Validate says which option cannot be used, and what can.
func (o *options) Validate() error {
	known := contenderNames()
	for _, name := range o.Systems {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--systems: there is no system %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	switch {
	case o.Runs < 1000:
		return fmt.Errorf("--runs is %d; fewer than 1000 measure only the start", o.Runs)
	case o.Rounds < 1:
		return fmt.Errorf("--rounds is %d, it must be at least 1", o.Rounds)
	case o.Light < time.Second:
		return fmt.Errorf("--light is %v, it must be at least 1s", o.Light)
	case !slices.Contains([]string{fsyncNone, fsyncEverySec, fsyncAlways}, o.AppendFsync):
		return fmt.Errorf("--appendfsync is %q, it must be none, everysec or always", o.AppendFsync)
	case o.Output != outputTable && o.Output != outputJSON:
		return fmt.Errorf("-o is %q, it must be table or json", o.Output)
	}
	return nil
}
