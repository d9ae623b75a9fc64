// Command bench compares what durable runs cost in wildout, in its peers and
// in the smallest loop that does the same Redis commands. Every system runs in
// this process, one after the other, against one real redis-server that bench
// starts and ends. It must not know how a system works inside: it publishes
// events, waits until their runs are finished, and reads the server's and the
// process' own accounts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parseOptions(args, progress)
	if err != nil {
		return err
	}
	// As the standard runner sets it, and the same for every system: with live
	// heaps of a few MB the default would measure the garbage collector.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	srv, err := startServer(ctx, o.RedisServer, o.AppendFsync)
	if err != nil {
		return err
	}
	defer srv.Close()

	if o.CPUProfile != "" {
		stop, err := profileTo(o.CPUProfile)
		if err != nil {
			return err
		}
		defer stop()
	}
	rep, err := runSession(ctx, srv, o, progress)
	if err != nil {
		return err
	}
	if o.Output == outputJSON {
		return rep.writeJSON(out)
	}
	return rep.writeTable(out)
}

func profileTo(path string) (stop func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("start the CPU profile: %w", err)
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}
