package dev

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/wildout/wildout/runtime/console/web"
)

// registerSite adds the console's pages to mux, and the API of the console
// behind the same check of the host: a page of somebody else must not reach
// this server under a name of its own.
func (s *Server) registerSite(mux *http.ServeMux) (err error) {
	o := web.Options{Service: s.console, Namespace: s.opts.Namespace, LocalOnly: true, Logger: s.log}
	if s.sink != nil {
		o.Mails = s.keptMails
	}
	if s.site, err = web.New(o); err != nil {
		return err
	}
	api := http.NewServeMux()
	s.console.Register(api)
	mux.Handle("/v1/", s.site.Protect(api))
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
