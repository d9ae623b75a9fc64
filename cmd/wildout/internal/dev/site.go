package dev

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console/web"
	"github.com/wildout/wildout/runtime/strictjson"
)

// registerSite adds the console's pages to mux, and the API of the console
// behind the same check of the host: a page of somebody else must not reach
// this server under a name of its own.
func (s *Server) registerSite(mux *http.ServeMux) (err error) {
	o := web.Options{Service: s.console, Namespace: s.opts.Namespace, Hosts: s.opts.Hosts, LocalOnly: true, Logger: s.log}
	if s.sink != nil {
		o.Mails = s.keptMails
	}
	if s.site, err = web.New(o); err != nil {
		return err
	}
	api := http.NewServeMux()
	s.console.Register(api)
	api.HandleFunc("GET /mail", s.getMail)
	mux.Handle("/v1/", s.site.Protect(api))
	mux.Handle("GET /mail", s.site.Protect(api))
	s.site.Register(mux)
	return nil
}

// keptMails are those of the sink.
func (s *Server) keptMails() []web.Mail {
	kept := s.Mails()
	all := make([]web.Mail, len(kept))
	for i, m := range kept {
		sum := sha256.Sum256(append([]byte(m.Received.String()), m.Raw...))
		all[i] = web.Mail{ID: hex.EncodeToString(sum[:8]), From: m.From, To: m.To, Subject: m.Subject, Received: m.Received,
			Text: m.Text, HTML: m.HTML, Raw: m.Raw}
	}
	return all
}

// mail is a mail as /mail shows it.
type mail struct {
	From     string    `json:"from"`
	To       []string  `json:"to"`
	Subject  string    `json:"subject"`
	Received time.Time `json:"received"`
	Text     string    `json:"text"`
	HTML     string    `json:"html,omitempty"`
}

// getMail lists the mails for programs; who looks with a browser is led to the
// page.
func (s *Server) getMail(w http.ResponseWriter, r *http.Request) {
	if s.sink != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/mails", http.StatusSeeOther)
		return
	}
	mails := []mail{}
	for _, m := range s.Mails() {
		mails = append(mails, mail{m.From, m.To, m.Subject, m.Received, m.Text, m.HTML})
	}
	text, err := strictjson.Show(mails, "")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}
