// Package web is the console as people see it: pages rendered here, with a
// little JavaScript that makes them live and that none of them needs. It asks
// console.Service for everything, decides who may look and act, and must not
// know how things are stored.
package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/runtime/console"
)

// Mail is a mail that was kept in place of being delivered.
type Mail struct {
	// ID names it in links.
	ID       string
	From     string
	To       []string
	Subject  string
	Received time.Time
	Text     string
	HTML     string
	Raw      []byte
}

// Options are what a Site needs.
type Options struct {
	// Service is what pages are made of. Its Authorize is up to the caller: the
	// package's Authorize, or console.AllowAll.
	Service *console.Service
	// Access says who may look, and act. Nil: everybody may, for a site that
	// only this machine reaches.
	Access *Access
	// Hosts are the names that the site may be asked for, besides addresses and
	// names without a dot: others are refused, since a page of somebody else may
	// have given this machine a name of its own (DNS rebinding).
	Hosts []string
	// AnyHost turns that off, for a site that asks who is there.
	AnyHost bool
	// LocalOnly answers this machine only, whatever address it listens on: for
	// a site that asks nobody who they are.
	LocalOnly bool
	// Namespace is shown.
	Namespace string
	// Mails returns what the mail sink has, the oldest first. Nil: there is no
	// sink and no page of mails.
	Mails func() []Mail
	// Logger gets what goes wrong. Nil: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Service == nil {
		return errors.New("console: no service")
	}
	if o.Access == nil && o.AnyHost {
		return errors.New("console: a site without access rules must check the host of requests")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Site is the console's pages.
type Site struct {
	opts   Options
	source *console.Service
	log    *slog.Logger
	pages  pages
	assets assets
	// closing ends the streams of live pages.
	closing chan struct{}
	once    sync.Once
	streams atomic.Int64
}

// New returns a Site.
func New(o Options) (*Site, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Site{opts: o, source: o.Service, log: o.Logger, closing: make(chan struct{})}
	s.assets = readAssets()
	var err error
	if s.pages, err = parsePages(s.assets); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the streams of live pages, which otherwise would hold up the end
// of a server. Pages can still be asked for.
func (s *Site) Close() { s.once.Do(func() { close(s.closing) }) }

// Register adds the pages to mux: everything that has no better pattern.
func (s *Site) Register(mux *http.ServeMux) { mux.Handle("/", s.Handler()) }

// Handler returns the pages.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page(s.overview))
	mux.HandleFunc("GET /functions", s.page(s.functions))
	mux.HandleFunc("GET /runs", s.page(s.runs))
	mux.HandleFunc("GET /runs/{id}", s.page(s.run))
	mux.HandleFunc("POST /runs/{id}/replay", s.page(s.replay))
	mux.HandleFunc("POST /runs/{id}/cancel", s.page(s.cancel))
	mux.HandleFunc("GET /events", s.page(s.events))
	mux.HandleFunc("GET /events/{id}", s.page(s.event))
	mux.HandleFunc("GET /send", s.page(s.sendForm))
	mux.HandleFunc("POST /send", s.page(s.send))
	if s.opts.Mails != nil {
		mux.HandleFunc("GET /mails", s.page(s.mails))
		mux.HandleFunc("GET /mails/{id}", s.page(s.mail))
		mux.HandleFunc("GET /mails/{id}/html", s.mailHTML)
	}
	mux.HandleFunc("POST /theme", s.theme)
	mux.HandleFunc("GET /live/{page}", s.live)
	mux.HandleFunc("/", s.page(func(*request) error {
		return &console.Problem{Status: http.StatusNotFound, Text: "There is no page at this address."}
	}))
	open := http.NewServeMux()
	open.Handle("/", s.identify(mux))
	open.HandleFunc("GET /assets/{name}", s.assets.serve)
	if s.opts.Access != nil {
		open.HandleFunc("GET /login", s.loginForm)
		open.HandleFunc("POST /login", s.login)
		open.HandleFunc("POST /logout", s.logout)
	}
	return s.guard(open)
}

// schemaOf returns the schema of a declared type, {} when it has none.
func schemaOf(t *console.EventType) json.RawMessage {
	if t == nil || len(t.Schema) == 0 {
		return json.RawMessage("{}")
	}
	return t.Schema
}
