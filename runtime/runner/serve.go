package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// RegisterProbes adds /healthz, /readyz and /metrics to mux. ready says why the
// process is not ready, in words that /readyz passes on; nil: it is.
//
// A process that cannot reach Redis is healthy: to start it again would not
// help, and would cost the runs that wait for Redis to come back.
func RegisterProbes(mux *http.ServeMux, ready func() error, metrics prometheus.Gatherer) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true})) // for exemplars
}

// Serve serves handler on listener until ctx ends, with limits that keep slow
// clients from holding connections.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		// Requests under way get a moment.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("HTTP server on %s: %w", listener.Addr(), err)
}

func serve(ctx context.Context, addr string, ready func() error, metrics prometheus.Gatherer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: set WILDOUT_LISTEN to another address", err)
	}
	mux := http.NewServeMux()
	RegisterProbes(mux, ready, metrics)
	return Serve(ctx, listener, mux)
}

const (
	// defaultTerminationLog is where Kubernetes looks. It exists in a pod only.
	defaultTerminationLog = "/dev/termination-log"
	// maxTerminationLog is what Kubernetes keeps of it, in bytes.
	maxTerminationLog = 4096
)

// writeTerminationLog writes what went wrong for Kubernetes to show in the
// status of the pod. A file that is not there or not writable is let be: the
// same words are in the log.
func writeTerminationLog(path, text string) {
	flags := os.O_WRONLY | os.O_TRUNC
	if path != defaultTerminationLog {
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = file.WriteString(text[:min(len(text), maxTerminationLog)])
}
