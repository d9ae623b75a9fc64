package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/wildout/wildout/runtime/console"
)

// pages are the templates by the name of their file, each with the frame.
type pages map[string]*template.Template

// parts are files whose templates every page may use.
var parts = []string{"templates/base.html", "templates/parts.html"}

func parsePages(a assets) (pages, error) {
	base, err := template.New("base").Funcs(functionMap(a)).ParseFS(files, parts...)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	all := pages{}
	for _, name := range names {
		if name == parts[0] || name == parts[1] {
			continue
		}
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		all[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return all, nil
}

// fragment renders one template of a page.
func (p pages) fragment(page, name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := p[page].ExecuteTemplate(&b, name, data); err != nil {
		return nil, broken(page, err)
	}
	return b.Bytes(), nil
}

// broken says that a page cannot be rendered: it is our fault.
func broken(page string, err error) error {
	return fmt.Errorf("page %s: %w", page, errors.Join(err, &console.Problem{Status: http.StatusInternalServerError, Text: "this page is broken"}))
}

// view is what the frame and a page are rendered from.
type view struct {
	Title, Path string
	Theme       string
	// Live is the address of the page's stream; empty: it does not change.
	Live      string
	User      *User
	Acts      bool // the user may act
	Namespace string
	Nav       []navItem
	Body      any
}

type navItem struct {
	Name, Path string
	Current    bool
}

// OtherTheme is what the theme's button switches to without JavaScript, which
// knows what the system prefers; here the light one is taken for granted.
func (v *view) OtherTheme() string {
	if v.Theme == "dark" {
		return "light"
	}
	return "dark"
}

// request is a request for a page by somebody who may look.
type request struct {
	*http.Request
	w    http.ResponseWriter
	user *User
}

// page makes a handler of fn, and a page of its error.
func (s *Site) page(fn func(*request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rq := &request{r, w, userOf(r.Context())}
		if err := fn(rq); err != nil {
			s.fail(rq, err)
		}
	}
}

// show renders a page.
func (s *Site) show(r *request, page, title, live string, body any) error {
	return s.write(r, http.StatusOK, page, &view{Title: title, Live: live, Body: body})
}

func (s *Site) write(r *request, status int, page string, v *view) error {
	v.Path = r.URL.RequestURI()
	v.Theme = themeOf(r.Request)
	v.User, v.Namespace = r.user, s.opts.Namespace
	v.Acts = r.user != nil && r.user.Acts
	v.Nav = s.nav(r.URL.Path)
	var b bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&b, "base", v); err != nil {
		return broken(page, err)
	}
	h, text := r.w.Header(), b.Bytes()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if zipped := zip(text, gzip.BestSpeed); zipped != nil {
			h.Set("Content-Encoding", "gzip")
			text = zipped
		}
	}
	r.w.WriteHeader(status)
	_, _ = r.w.Write(text) // the client may be gone
	return nil
}

func (s *Site) nav(at string) []navItem {
	items := []navItem{{Name: "Overview", Path: "/"}, {Name: "Functions", Path: "/functions"}, {Name: "Runs", Path: "/runs"},
		{Name: "Events", Path: "/events"}, {Name: "Send", Path: "/send"}}
	if s.opts.Mails != nil {
		items = append(items, navItem{Name: "Mails", Path: "/mails"})
	}
	for i := range items {
		p := items[i].Path
		items[i].Current = at == p || p != "/" && strings.HasPrefix(at, p+"/")
	}
	return items
}

// trouble is the body of an error page.
type trouble struct {
	Status                        int
	Title, Text, Do, Back, BackTo string
}

// BackText is what the button says.
func (t trouble) BackText() string { return t.BackTo }

// fail answers with a page that says what is wrong and what to do.
func (s *Site) fail(r *request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for the answer
	}
	status := console.StatusOf(err)
	if forProgram(r.Request) {
		if status >= http.StatusInternalServerError {
			s.log.Error("page not shown", "path", r.URL.Path, "error", err)
		}
		problem(r.w, status, err.Error())
		return
	}
	t := trouble{Status: status, Text: upper(err.Error()), Back: "/", BackTo: "To the overview"}
	switch status {
	case http.StatusNotFound:
		t.Title = "Not here"
	case http.StatusForbidden:
		t.Title, t.Do = "Not allowed", "Whoever runs this console decides who may act: see --allow-actions of `wildout console`."
	case http.StatusConflict:
		t.Title, t.Back, t.BackTo = "Not possible now", strings.TrimSuffix(strings.TrimSuffix(r.URL.Path, "/cancel"), "/replay"), "Back to the run"
	case http.StatusBadRequest:
		t.Title = "That request makes no sense"
	case http.StatusServiceUnavailable:
		t.Title, t.Do = "Redis does not answer", "Nothing is lost: runs go on when it is back. Load the page again in a moment."
		t.Back, t.BackTo = r.URL.RequestURI(), "Try again"
		if r.Method != http.MethodGet {
			t.Back = "/"
		}
		s.log.Error("page not shown", "path", r.URL.Path, "error", err)
	default:
		t.Title = "Something went wrong"
		s.log.Error("page not shown", "path", r.URL.Path, "error", err)
	}
	if err := s.write(r, status, "error", &view{Title: t.Title, Body: t}); err != nil {
		s.log.Error("error page not shown", "error", err)
		http.Error(r.w, t.Text, status)
	}
}

// refuse answers somebody of whom nothing is known.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if forProgram(r) {
		problem(w, status, text)
		return
	}
	body := trouble{Status: status, Title: "Not like this", Text: text, Back: "/", BackTo: "To the overview"}
	if err := s.write(&request{r, w, nil}, status, "error", &view{Title: body.Title, Body: body}); err != nil {
		http.Error(w, text, status)
	}
}

// forProgram reports whether a program asks: one that sends or wants JSON, or
// that does what no page does.
func forProgram(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		return true
	}
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") ||
		strings.Contains(r.Header.Get("Accept"), "application/json") && !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// problem answers a program, as the API does.
func problem(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": text, "status": status}) // the client may be gone
}

const themeCookie = "wildout-theme"

func themeOf(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "dark" || c.Value == "light") {
		return c.Value
	}
	return ""
}

// theme remembers light or dark, and goes back to the page.
func (s *Site) theme(w http.ResponseWriter, r *http.Request) {
	value := r.PostFormValue("theme")
	if value != "dark" && value != "light" {
		s.refuse(w, r, http.StatusBadRequest, "The theme is light or dark.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: themeCookie, Value: value, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, ownPath(r.PostFormValue("back")), http.StatusSeeOther)
}

// ownPath returns an address of this site; others, which a link may have smuggled
// in, become the overview.
func ownPath(address string) string {
	if !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\r\n\t") {
		return "/"
	}
	return address
}
