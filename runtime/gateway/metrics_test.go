package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wildout/wildout/runtime/gateway"
)

func TestMetricsOfRequests(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := gateway.NewMetrics(registry)
	answer := func(handler http.HandlerFunc) {
		m.Instrument("inngest", handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/e/key", http.NoBody))
	}
	answer(func(w http.ResponseWriter, r *http.Request) {
		gateway.NoteSender(r.Context(), "shop")
		_, _ = w.Write([]byte("ok"))
	})
	answer(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusContinue)
		w.WriteHeader(http.StatusTooManyRequests)
	})
	answer(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("the connection is out of reach: %v", err)
		}
		gateway.NoteSender(r.Context(), "shop")
	})
	gateway.NoteSender(context.Background(), "outside") // does nothing
	m.Accepted("shop", 3)
	m.Refused(gateway.RefusedSchema, 0)
	m.Published(time.Second, nil)
	m.Published(time.Second, errors.New("no"))
	m.Published(time.Second, context.Canceled)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	lines := strings.Split(page.Body.String(), "\n")
	for _, want := range []string{
		`wildout_gateway_requests_total{code="200",route="inngest",sender="shop"} 2`,
		`wildout_gateway_requests_total{code="429",route="inngest",sender=""} 1`,
		`wildout_gateway_request_duration_seconds_count{route="inngest"} 3`,
		`wildout_gateway_requests_in_flight 0`,
		`wildout_gateway_events_accepted_total{sender="shop"} 3`,
		`wildout_gateway_events_refused_total{reason="schema"} 1`,
		`wildout_gateway_events_refused_total{reason="overload"} 0`,
		`wildout_gateway_publish_duration_seconds_count{status="ok"} 1`,
		`wildout_gateway_publish_duration_seconds_count{status="failed"} 1`,
		`wildout_gateway_publish_duration_seconds_count{status="canceled"} 1`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s in\n%s", want, page.Body)
		}
	}
}

func TestNoMetrics(t *testing.T) {
	var m *gateway.Metrics
	m.Accepted("shop", 1)
	m.Refused(gateway.RefusedKey, 1)
	m.Published(time.Second, nil)
	called := false
	m.Instrument("inngest", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true })).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if !called {
		t.Error("the request went nowhere")
	}
}
