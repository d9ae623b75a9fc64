// Command load measures the gateway with wrk, beside a bare net/http handler
// that does one XADD: at saturation, at twice the capacity, with a sender over
// its rate, and with a thousand wrong keys a second. After each round it counts
// what Redis has: an event that was accepted and is not there fails the run.
//
// It starts all servers as processes of their own, on loopback. One session
// runs the sides in turn, so that what else the machine does meets them alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are the flags.
type options struct {
	wildout     string
	duration    time.Duration
	rounds      int
	connections int
	fsync       string
}

func main() {
	var o options
	bare := flag.String("bare", "", "be the bare handler on this address, for the Redis of --redis (this command starts itself so)")
	redisAddr := flag.String("redis", "", "address of Redis for --bare")
	flag.StringVar(&o.wildout, "wildout", "bin/wildout", "the program to measure")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "length of one measurement")
	flag.IntVar(&o.rounds, "rounds", 3, "measurements of each side; the medians are shown")
	flag.IntVar(&o.connections, "connections", 64, "connections at saturation")
	flag.StringVar(&o.fsync, "appendfsync", "everysec", "of Redis: no (memory only), everysec or always")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *bare != "" {
		err = serveBare(ctx, *bare, *redisAddr)
	} else {
		err = measure(ctx, o)
	}
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
