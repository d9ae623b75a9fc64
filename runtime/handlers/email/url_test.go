package email

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	tests := map[string]struct {
		url  string
		want server
		err  string
	}{
		"plain":         {url: "smtp://mail", want: server{host: "mail", port: "587", tls: tlsOpportunistic}},
		"login":         {url: "smtp://u:p@mail", want: server{host: "mail", port: "587", user: "u", password: "p", tls: tlsRequired}},
		"encoded":       {url: "smtp://u%40x:p%2F%3F@mail:25?starttls=off", want: server{host: "mail", port: "25", user: "u@x", password: "p/?", tls: tlsOff}},
		"smtps":         {url: "smtps://mail", want: server{host: "mail", port: "465", tls: tlsImplicit}},
		"IPv6":          {url: "smtp://[::1]:1025/", want: server{host: "::1", port: "1025", tls: tlsOpportunistic}},
		"empty":         {url: "", err: "is empty"},
		"no scheme":     {url: "mail:587", err: "cannot be read"},
		"scheme":        {url: "http://mail", err: `scheme "http"`},
		"no host":       {url: "smtp://:25", err: "cannot be read"},
		"bad escape":    {url: "smtp://u:s3cret%zz@mail", err: "%-encoding"},
		"slash in pass": {url: "smtp://u:s3cret/x@mail", err: "cannot be read"},
		"user alone":    {url: "smtp://u@mail", err: "both a user and a password"},
		"path":          {url: "smtp://mail/x", err: "has a path"},
		"parameter":     {url: "smtp://mail?tls=1", err: `"tls"`},
		"starttls":      {url: "smtp://mail?starttls=yes", err: "starttls=yes"},
		"smtps and it":  {url: "smtps://mail?starttls=off", err: "drop one"},
		"port":          {url: "smtp://mail:99999", err: `port "99999"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseURL(tt.url)
			if tt.err == "" {
				if err != nil || got != tt.want {
					t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want an error with %q and no password", err, tt.err)
			}
		})
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("smtp://u:p@mail:25?starttls=off")
	f.Add("smtps://[::1]:465")
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := parseURL(raw)
		if err == nil && (s.host == "" || s.port == "" || s.tls == "") {
			t.Errorf("%q became %+v", raw, s)
		}
	})
}

func FuzzParseAddresses(f *testing.F) {
	f.Add("Ann <ann@example.org>")
	f.Add("\"a\\\r\nb\" <a@example.org>")
	f.Add("=?utf-8?q?a=0Ab?= <a@example.org>")
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseAddresses("to", Addresses{s})
		if err != nil {
			return
		}
		if line := path(parsed[0].Address); strings.ContainsAny(line, "\r\n\x00") || !strings.HasPrefix(line, "<") {
			t.Errorf("%q became the SMTP path %q", s, line)
		}
	})
}
