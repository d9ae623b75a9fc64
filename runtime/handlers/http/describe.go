package http

import (
	"encoding/base64"
	nethttp "net/http"
	"net/url"
	"regexp"
	"strings"
)

// maxPath bounds the path in an error, in bytes.
const maxPath = 120

// word is what may be shown of a path: a number, or words. Tokens of webhooks
// and bots stand in paths too, and they do not read like that.
var word = regexp.MustCompile(`^([0-9]{1,12}|` + oneWord + `([._-](` + oneWord + `|[0-9]{1,4}))*)?$`)

// oneWord is one word: lower case, upper case or camel case, with a small number.
const oneWord = `([a-z]{1,20}|[A-Z]{1,8}|[A-Z]?[a-z]{1,12}([A-Z][a-z]{2,12}){0,3})[0-9]{0,2}`

// describe names a request without what may hold a secret: userinfo, query and
// the segments of the path that are no words.
func describe(req *nethttp.Request) string {
	return req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + readable(req.URL.Path)
}

func readable(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if !word.MatchString(segment) {
			segments[i] = "***"
		}
	}
	path = strings.Join(segments, "/")
	if len(path) > maxPath {
		path = path[:maxPath] + "…"
	}
	return path
}

// secretsOf lists what an error must not show even when the server says it.
func secretsOf(r Request) []string {
	var secrets []string
	add := func(s string) {
		// What is shorter is no secret, and would make the text unreadable.
		if len(s) >= 6 {
			secrets = append(secrets, s)
		}
	}
	for name, value := range r.Headers {
		if !portable[nethttp.CanonicalHeaderKey(name)] {
			add(value)
		}
	}
	for _, values := range r.Query {
		for _, value := range values {
			add(value)
			add(url.QueryEscape(value))
		}
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return secrets
	}
	password, _ := u.User.Password()
	add(password)
	if u.User != nil { // as the Authorization header has it
		add(base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password)))
	}
	add(u.RawQuery)
	for parameter := range strings.FieldsFuncSeq(u.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		_, value, _ := strings.Cut(parameter, "=")
		add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			add(plain)
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if !word.MatchString(segment) {
			add(segment)
		}
	}
	return secrets
}
