package web

import (
	"net/http"
	"slices"

	"github.com/wildout/wildout/runtime/console"
)

// loadMails returns the mails, the newest first.
func (s *Site) loadMails() []Mail {
	all := slices.Clone(s.opts.Mails())
	slices.Reverse(all)
	return all
}

func (s *Site) mails(r *request) error {
	return s.show(r, "mails", "Mails", "/live/mails", s.loadMails())
}

func (s *Site) findMail(id string) (*Mail, error) {
	for _, m := range s.opts.Mails() {
		if m.ID == id {
			return &m, nil
		}
	}
	return nil, &console.Problem{Status: http.StatusNotFound, Text: "There is no such mail: the sink keeps the newest ones only."}
}

// mailBody is the page of one mail.
type mailBody struct {
	Mail *Mail
	Part string // html, text or source
	Text string
	Tabs []navItem
}

func (s *Site) mail(r *request) error {
	m, err := s.findMail(r.PathValue("id"))
	if err != nil {
		return err
	}
	b := &mailBody{Mail: m, Part: r.FormValue("part")}
	var offered []string
	for _, p := range []struct{ name, content string }{{"html", m.HTML}, {"text", m.Text}, {"source", string(m.Raw)}} {
		if p.content != "" {
			offered = append(offered, p.name)
		}
	}
	if !slices.Contains(offered, b.Part) && len(offered) > 0 {
		b.Part = offered[0]
	}
	switch b.Part {
	case "text":
		b.Text = m.Text
	case "source":
		b.Text = string(m.Raw)
	}
	for _, name := range offered {
		b.Tabs = append(b.Tabs, navItem{map[string]string{"html": "HTML", "text": "Text", "source": "Source"}[name], "/mails/" + m.ID + "?part=" + name, name == b.Part})
	}
	title := m.Subject
	if title == "" {
		title = "Mail"
	}
	return s.show(r, "mail", title, "", b)
}

// mailPolicy is for the frame with a mail: its styles apply, nothing runs and
// nothing is loaded from elsewhere.
const mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"

func (s *Site) mailHTML(w http.ResponseWriter, r *http.Request) {
	m, err := s.findMail(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), console.StatusOf(err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	_, _ = w.Write([]byte(m.HTML)) // the client may be gone
}
