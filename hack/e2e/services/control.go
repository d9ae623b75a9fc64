package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/wildout/wildout/internal/scenarios/outside"
)

// control is what tests say and ask:
//
//	GET  /healthz
//	GET  /mails?since=n      what was taken, without the first n
//	GET  /offers             how often each recipient was offered
//	GET  /webhooks           the distinct webhooks that came, "receiver id"
//	POST /smtp/open          and close
//	POST /database/start     and stop, pause, resume
//	POST /hooks/RECEIVER     a webhook
type control struct {
	mail     *outside.MailServer
	webhooks outside.Webhooks
	database *postgres
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {}) // 200
	mux.HandleFunc("GET /mails", c.listMails)
	mux.HandleFunc("GET /offers", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.mail.Offers()) })
	mux.HandleFunc("GET /webhooks", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.webhooks.IDs()) })
	mux.Handle("POST /hooks/{receiver}", &c.webhooks)
	for path, act := range map[string]func(context.Context) error{
		"/smtp/open":       func(context.Context) error { return c.mail.Open() },
		"/smtp/close":      func(context.Context) error { return c.mail.Close() },
		"/database/start":  c.database.start,
		"/database/stop":   func(context.Context) error { return c.database.stop() },
		"/database/pause":  func(context.Context) error { return c.database.pause() },
		"/database/resume": func(context.Context) error { return c.database.resume() },
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := act(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	return mux
}

func (c *control) listMails(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.Atoi(r.URL.Query().Get("since"))
	if err != nil || since < 0 {
		http.Error(w, fmt.Sprintf("since is %q, want how many are known already", r.URL.Query().Get("since")), http.StatusBadRequest)
		return
	}
	answer(w, c.mail.Messages(since))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails when nobody listens any more
}
