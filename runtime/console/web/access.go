package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/console"
)

// User is somebody who may look.
type User struct {
	// Name is what the proxy says; empty with a token.
	Name string
	// Acts says that the user may send, cancel and replay.
	Acts bool
	// Session says that the user logged in here, and can log out.
	Session bool
}

// Access says who may look, and who may act. There are two ways in, and both
// may be open: a proxy that knows the user, and a token.
type Access struct {
	// TrustedProxies are the addresses whose UserHeaders are believed. Those of
	// anybody else are passed over.
	TrustedProxies []netip.Prefix
	// UserHeaders name the user; the first that is set counts.
	UserHeaders []string
	// GroupsHeader has the user's groups, with commas between them.
	GroupsHeader string
	// TokenFile has a token per line. It is read anew each time, so that tokens
	// can be exchanged while this runs. Empty: there is no login.
	TokenFile string
	// AllowActions lets everybody act who may look.
	AllowActions bool
	// ActionUsers and ActionGroups may act without AllowActions.
	ActionUsers, ActionGroups []string
}

// MinToken is how long a token must be, in bytes: shorter ones can be guessed.
const MinToken = 16

// Validate reports what is missing or open to everybody.
func (a *Access) Validate() error {
	switch {
	case len(a.TrustedProxies) == 0 && a.TokenFile == "":
		return errors.New("console: nobody could look: name a file with tokens, or the addresses of a proxy that authenticates")
	case len(a.TrustedProxies) > 0 && len(a.UserHeaders) == 0:
		return errors.New("console: a trusted proxy needs a header that names the user")
	case len(a.TrustedProxies) == 0 && len(a.ActionUsers)+len(a.ActionGroups) > 0:
		return errors.New("console: users and groups that may act are known from a proxy only: name its addresses")
	}
	for _, p := range a.TrustedProxies {
		if p.Bits() == 0 {
			return fmt.Errorf("console: %s trusts everybody to say who they are: name the addresses of the proxy", p)
		}
	}
	if a.TokenFile == "" {
		return nil
	}
	_, err := a.tokens()
	return err
}

// tokens reads the file.
func (a *Access) tokens() ([]string, error) {
	text, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("console: file with tokens: %w", err)
	}
	tokens := strings.Fields(string(text))
	if len(tokens) == 0 {
		return nil, fmt.Errorf("console: %s has no token: write one per line, such as `openssl rand -hex 32` prints", a.TokenFile)
	}
	for i, t := range tokens {
		if len(t) < MinToken {
			return nil, fmt.Errorf("console: token %d in %s has %d bytes, want %d or more", i+1, a.TokenFile, len(t), MinToken)
		}
	}
	return tokens, nil
}

// accept reports whether a token is one of the file. How long it takes says
// nothing about the tokens.
func (a *Access) accept(token string) (bool, error) {
	tokens, err := a.tokens()
	if err != nil {
		return false, err
	}
	given, found := sha256.Sum256([]byte(token)), 0
	for _, t := range tokens {
		want := sha256.Sum256([]byte(t))
		found |= subtle.ConstantTimeCompare(given[:], want[:])
	}
	return found == 1, nil
}

// user returns who makes the request; nil: nobody who may look. An error means
// that it could not be found out.
func (a *Access) user(r *http.Request) (*User, error) {
	if u := a.proxyUser(r); u != nil {
		return u, nil
	}
	if a.TokenFile == "" {
		return nil, nil
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		good, err := a.accept(strings.TrimSpace(token))
		if !good || err != nil {
			return nil, err
		}
		return &User{Acts: a.AllowActions}, nil
	}
	good, err := a.session(r)
	if !good || err != nil {
		return nil, err
	}
	return &User{Acts: a.AllowActions, Session: true}, nil
}

// proxyUser believes the headers of a trusted proxy, and of nobody else.
func (a *Access) proxyUser(r *http.Request) *User {
	if !a.trusts(r.RemoteAddr) {
		return nil
	}
	for _, header := range a.UserHeaders {
		name := strings.TrimSpace(r.Header.Get(header))
		if name == "" {
			continue
		}
		acts := a.AllowActions || slices.Contains(a.ActionUsers, name)
		if a.GroupsHeader != "" {
			for _, group := range strings.Split(strings.Join(r.Header.Values(a.GroupsHeader), ","), ",") {
				acts = acts || slices.Contains(a.ActionGroups, strings.TrimSpace(group))
			}
		}
		return &User{Name: clip(name, 200), Acts: acts}
	}
	return nil
}

func (a *Access) trusts(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	from := addr.Addr().Unmap()
	return slices.ContainsFunc(a.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(from) })
}

type userKey struct{}

// userOf returns who makes the request; nil: nobody is known.
func userOf(ctx context.Context) *User {
	u, _ := ctx.Value(userKey{}).(*User)
	return u
}

// Authorize says whether the user of a request may act: for
// console.Options.Authorize.
func Authorize(ctx context.Context, action console.Action) error {
	if u := userOf(ctx); u != nil && u.Acts {
		return nil
	}
	return &console.Problem{Status: http.StatusForbidden, Text: fmt.Sprintf("You may look, and not %s: this console is read-only for you.", action)}
}

// Who names the user of a request, for console.Options.Who: by the proxy's word,
// or that a token was shown, which has no name.
func Who(ctx context.Context) string {
	switch u := userOf(ctx); {
	case u == nil:
		return ""
	case u.Name != "":
		return u.Name
	case u.Session:
		return "session of a token"
	}
	return "token"
}

// mayAct is for handlers that post.
func (r *request) mayAct() error {
	if r.user != nil && r.user.Acts {
		return nil
	}
	return &console.Problem{Status: http.StatusForbidden, Text: "You may look, and not act: this console is read-only for you."}
}

// identify lets those through who may look, and sends others to the login.
func (s *Site) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := &User{Acts: true}
		if s.opts.Access != nil {
			var err error
			if user, err = s.opts.Access.user(r); err != nil {
				s.log.Error("the console lets nobody in by token", "error", err)
			}
		}
		if user == nil {
			s.stranger(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

// stranger answers somebody who is not known.
func (s *Site) stranger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="wildout console"`)
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"who are you? send Authorization: Bearer with a token of this console","status":401}` + "\n"))
	case s.opts.Access.TokenFile == "":
		s.refuse(w, r, http.StatusUnauthorized, "This console is reached through a proxy that knows who you are. This request did not come through it, or it named no user.")
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/live/"), r.Method != http.MethodGet:
		s.refuse(w, r, http.StatusUnauthorized, "Your session has ended. Log in again.")
	default:
		w.Header().Del("WWW-Authenticate") // the form asks
		http.Redirect(w, r, loginAddress(r), http.StatusSeeOther)
	}
}

// Protect puts the API behind the same doors as the pages.
func (s *Site) Protect(api http.Handler) http.Handler { return s.guard(s.identify(api)) }
