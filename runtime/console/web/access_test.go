package web_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/console/web"
	"github.com/wildout/wildout/runtime/run"
)

const (
	tokenOne = "first-token-of-the-console"
	tokenTwo = "second-token-of-the-console"
)

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func withAccess(a *web.Access) func(*web.Options) {
	return func(o *web.Options) { o.Access, o.AnyHost = a, true }
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestTokens(t *testing.T) {
	file := tokenFile(t, tokenOne+"\n")
	r := newRig(t, withAccess(&web.Access{TokenFile: file}))
	status := func(header ...string) int { t.Helper(); return r.get("/functions", header...).status }
	if a := r.get("/runs?status=failed"); a.status != 303 || a.header.Get("Location") != "/login?back="+url.QueryEscape("/runs?status=failed") {
		t.Errorf("a stranger gets %d %s", a.status, a.header.Get("Location"))
	}
	if a := r.get("/v1/runs"); a.status != 401 || !strings.Contains(a.body, `"status":401`) {
		t.Errorf("the API says %d %s", a.status, a.body)
	}
	for header, want := range map[string]int{"Authorization: Bearer " + tokenOne: 200, "Authorization: Bearer wrong-token-of-nobody": 303, "Authorization: Basic " + tokenOne: 303,
		"Authorization: Bearer ": 303, "X-Auth-Request-Email: me@example.com": 303, "Cookie: wildout-session=AAAA": 303} {
		if got := status(header); got != want {
			t.Errorf("%s: %d, want %d", header, got, want)
		}
	}
	if a := r.get("/assets/console.css"); a.status != 404 {
		t.Errorf("assets are behind the login: %d", a.status)
	}
	// Log in.
	if a := r.do(http.MethodPost, "/login", "token=wrong"); a.status != 401 || !strings.Contains(a.body, "not a token") || len(a.header.Values("Set-Cookie")) != 0 {
		t.Errorf("a wrong token: %d %v", a.status, a.header)
	}
	a := r.do(http.MethodPost, "/login", url.Values{"token": {tokenOne}, "back": {"/runs"}}.Encode())
	cookie := a.header.Get("Set-Cookie")
	if a.status != 303 || a.header.Get("Location") != "/runs" || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, tokenOne) {
		t.Fatalf("login: %d %v", a.status, a.header)
	}
	if got := status(); got != 200 {
		t.Errorf("with the session: %d", got)
	}
	// Another token beside it, then without the first: no restart.
	write(t, file, tokenOne+"\n"+tokenTwo+"\n")
	if got := status(); got != 200 {
		t.Errorf("with two tokens the session is over: %d", got)
	}
	write(t, file, tokenTwo+"\n")
	if got := status(); got != 303 {
		t.Errorf("the token is gone and the session goes on: %d", got)
	}
	if got := status("Authorization: Bearer " + tokenTwo); got != 200 {
		t.Errorf("the new token: %d", got)
	}
	write(t, file, "")
	if got := status("Authorization: Bearer "); got != 303 {
		t.Errorf("an empty file lets people in: %d", got)
	}
	if a := r.do(http.MethodPost, "/login", "token=x"); a.status != 503 {
		t.Errorf("login without tokens: %d", a.status)
	}
}

func TestLogout(t *testing.T) {
	r := newRig(t, withAccess(&web.Access{TokenFile: tokenFile(t, tokenOne)}))
	r.do(http.MethodPost, "/login", "token="+tokenOne)
	if a := r.get("/"); a.status != 200 || !strings.Contains(a.body, "Log out") {
		t.Fatalf("%d", a.status)
	}
	if a := r.do(http.MethodPost, "/logout", "x=1", "Sec-Fetch-Site: cross-site"); a.status != 403 {
		t.Errorf("another site logs people out: %d", a.status)
	}
	r.do(http.MethodPost, "/logout", "x=1")
	if a := r.get("/"); a.status != 303 {
		t.Errorf("after the logout: %d", a.status)
	}
}

func TestProxy(t *testing.T) {
	access := web.Access{TrustedProxies: loopback, UserHeaders: []string{"X-Auth-Request-Email", "X-Auth-Request-User"}, GroupsHeader: "X-Auth-Request-Groups",
		ActionUsers: []string{"boss@example.com"}, ActionGroups: []string{"operators"}}
	stranger := access
	stranger.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		access web.Access
		header []string
		status int
		acts   bool
	}{
		"no user":                 {access, nil, 401, false},
		"a user":                  {access, []string{"X-Auth-Request-Email: me@example.com"}, 200, false},
		"the second header":       {access, []string{"X-Auth-Request-User: me"}, 200, false},
		"one who may act":         {access, []string{"X-Auth-Request-Email: boss@example.com"}, 200, true},
		"a group that may":        {access, []string{"X-Auth-Request-User: me", "X-Auth-Request-Groups: staff, operators"}, 200, true},
		"another group":           {access, []string{"X-Auth-Request-User: me", "X-Auth-Request-Groups: staff,operators2"}, 200, false},
		"an address nobody knows": {stranger, []string{"X-Auth-Request-Email: boss@example.com", "X-Forwarded-For: 10.0.0.1"}, 401, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, withAccess(&c.access))
			r.install("greet")
			id, _ := r.run("greet", `{"name":"x"}`, run.Record{Status: run.Failed, Error: "no"})
			if a := r.get("/runs/"+id, c.header...); a.status != c.status || strings.Contains(a.body, "ask-replay") != c.acts || c.status == 200 && strings.Contains(a.body, "read-only") == c.acts {
				t.Errorf("the page: %d, want %d", a.status, c.status)
			}
			want := http.StatusForbidden
			switch {
			case c.acts:
				want = http.StatusSeeOther
			case c.status == 401:
				want = 401
			}
			for _, path := range []string{"/runs/" + id + "/replay", "/send"} {
				if a := r.do(http.MethodPost, path, "type=hello&data="+url.QueryEscape(`{"name":"x"}`), c.header...); a.status != want {
					t.Errorf("%s: %d, want %d", path, a.status, want)
				}
			}
			if a := r.do(http.MethodPost, "/v1/runs/"+id+"/replay", "", c.header...); (a.status == 200) != c.acts {
				t.Errorf("the API: %d %s", a.status, a.body)
			}
		})
	}
}

func TestAccessValidate(t *testing.T) {
	for name, c := range map[string]struct {
		access web.Access
		want   string
	}{
		"nobody":        {web.Access{}, "nobody could look"},
		"no file":       {web.Access{TokenFile: "/none"}, "file with tokens"},
		"empty file":    {web.Access{TokenFile: tokenFile(t, "\n")}, "has no token"},
		"short token":   {web.Access{TokenFile: tokenFile(t, tokenOne+"\nshort")}, "token 2"},
		"trusts all":    {web.Access{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, UserHeaders: []string{"X"}}, "trusts everybody"},
		"no header":     {web.Access{TrustedProxies: loopback}, "header that names the user"},
		"users unknown": {web.Access{TokenFile: tokenFile(t, tokenOne), ActionUsers: []string{"me"}}, "from a proxy only"},
	} {
		if err := c.access.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := web.New(web.Options{}); err == nil {
		t.Error("a site without a service")
	}
}
