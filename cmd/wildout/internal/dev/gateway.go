package dev

import (
	"net/http"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/cloudevents"
	"github.com/wildout/wildout/runtime/gateway/config"
	"github.com/wildout/wildout/runtime/gateway/webhook"
)

// registerGateway adds the ways in for events. Everybody may send, with any
// key or none.
func (s *Server) registerGateway(mux *http.ServeMux) (err error) {
	metrics := gateway.NewMetrics(s.metrics)
	s.events, err = gateway.New(gateway.Options{Backend: s.store, Types: &s.types, Dev: true, Metrics: metrics, Logger: s.log})
	if err != nil {
		return err
	}
	s.events.Register(mux)
	cloud, err := cloudevents.New(cloudevents.Options{Gateway: s.events, Metrics: metrics, Logger: s.log})
	if err != nil {
		return err
	}
	cloud.Register(mux)
	if s.opts.GatewayConfig == "" {
		return nil
	}
	hooks, err := config.LoadWebhooks(s.opts.GatewayConfig)
	if err != nil {
		return err
	}
	handler, err := webhook.New(webhook.Options{Gateway: s.events, Webhooks: hooks, Metrics: webhook.NewMetrics(s.metrics, metrics), Logger: s.log})
	if err != nil {
		return err
	}
	handler.Register(mux)
	return nil
}
