package cloudevents_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// sdkEvent is an event with everything, made by the official SDK.
func sdkEvent(t *testing.T, id string) sdk.Event {
	t.Helper()
	e := sdk.NewEvent()
	e.SetID(id)
	e.SetType("com.example.created")
	e.SetSource("https://example.com/orders")
	e.SetSubject("Größe 50% ☀")
	e.SetTime(time.Date(2026, 3, 2, 8, 20, 0, 0, time.UTC))
	e.SetDataSchema("https://example.com/schemas/order")
	e.SetExtension("partitionkey", "A")
	e.SetExtension("attempt", 2)
	e.SetExtension("retried", true)
	e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := e.SetData(sdk.ApplicationJSON, map[string]any{"order": "A-2041", "note": "<ü>"}); err != nil {
		t.Fatal(err)
	}
	return e
}

func sdkClient(t *testing.T, s *site, path string) client.Client {
	t.Helper()
	p, err := sdk.NewHTTP(cehttp.WithTarget(s.url+path), cehttp.WithHeader("Authorization", "Bearer "+key))
	if err != nil {
		t.Fatal(err)
	}
	c, err := sdk.NewClient(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOfficialSDK sends in each mode with the client that senders use.
func TestOfficialSDK(t *testing.T) {
	s := newSite(t)
	for name, send := range map[string]func(t *testing.T, id string){
		"binary": func(t *testing.T, id string) {
			result(t, sdkClient(t, s, "/cloudevents").Send(sdk.WithEncodingBinary(t.Context()), sdkEvent(t, id)))
		},
		"structured": func(t *testing.T, id string) {
			result(t, sdkClient(t, s, "/cloudevents").Send(sdk.WithEncodingStructured(t.Context()), sdkEvent(t, id)))
		},
		"at the root": func(t *testing.T, id string) {
			result(t, sdkClient(t, s, "/").Send(t.Context(), sdkEvent(t, id)))
		},
		"structured, data as bytes": func(t *testing.T, id string) {
			e := sdkEvent(t, id)
			if err := e.SetData(sdk.ApplicationJSON, e.Data()); err != nil { // becomes data_base64
				t.Fatal(err)
			}
			result(t, sdkClient(t, s, "/cloudevents").Send(sdk.WithEncodingStructured(t.Context()), e))
		},
		"batched": func(t *testing.T, id string) {
			other := sdkEvent(t, id)
			other.SetType("com.example.deleted")
			req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), s.url+"/cloudevents", []sdk.Event{other, sdkEvent(t, id)})
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+key)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				t.Errorf("status %d", resp.StatusCode)
			}
			if e := s.last("com.example.deleted"); e.ID != "https://example.com/orders "+id {
				t.Errorf("event %+v", e)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			send(t, name)
			e := s.last("com.example.created")
			if e.ID != "https://example.com/orders "+name || e.Source != "https://example.com/orders" || e.Subject != "Größe 50% ☀" {
				t.Errorf("event %+v", e)
			}
			if e.TraceParent != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
				t.Errorf("trace context %q", e.TraceParent)
			}
			var data map[string]string
			if err := json.Unmarshal(e.Data, &data); err != nil || len(data) != 2 || data["order"] != "A-2041" || data["note"] != "<ü>" {
				t.Errorf("data %s, %v", e.Data, err)
			}
		})
	}
}

func result(t *testing.T, err protocol.Result) {
	t.Helper()
	var status *cehttp.Result
	if sdk.IsUndelivered(err) || !sdk.IsACK(err) || !sdk.ResultAs(err, &status) || status.StatusCode != http.StatusAccepted {
		t.Fatalf("result %v, want 202", err)
	}
}

// TestOfficialSDKIsTold looks at a refusal with the eyes of the client.
func TestOfficialSDKIsTold(t *testing.T) {
	s := newSite(t)
	e := sdkEvent(t, "1")
	e.SetType("wildout/run.finished")
	err := sdkClient(t, s, "/cloudevents").Send(context.Background(), e)
	var status *cehttp.Result
	if !sdk.IsNACK(err) || !sdk.ResultAs(err, &status) || status.StatusCode != http.StatusBadRequest {
		t.Errorf("result %v, want 400", err)
	}
}

// TestOfficialSDKTriesAgain lets the client of the SDK wait out a Redis that is
// away.
func TestOfficialSDKTriesAgain(t *testing.T) {
	s := newSite(t)
	s.redis.Stop()
	back := time.AfterFunc(700*time.Millisecond, s.redis.Start)
	defer back.Stop()
	ctx := sdk.ContextWithRetriesConstantBackoff(t.Context(), 200*time.Millisecond, 50)
	if err := sdkClient(t, s, "/cloudevents").Send(ctx, sdkEvent(t, "1")); !sdk.IsACK(err) {
		t.Fatalf("result %v", err)
	}
	if events := s.stream("com.example.created"); len(events) != 1 {
		t.Errorf("%d events, want 1", len(events))
	}
}
