package tokenreview_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/tokenreview"
)

// certificate returns that of a server, in PEM.
func certificate(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// unsigned returns a token that nobody signed.
func unsigned(user string) string {
	payload := fmt.Sprintf(`{"sub":%q,"aud":%q,"exp":%d}`, user, tokenreview.Audience, time.Now().Add(time.Hour).Unix())
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(payload)) + "." + encode([]byte("signature"))
}

// What a real API server cannot be made to say.
func TestStrangeAnswers(t *testing.T) {
	const accepted = `{"kind":"TokenReview","status":{"authenticated":true,"audiences":[%q],"user":{"username":%q}}}`
	const user = "system:serviceaccount:default:sender"
	token := unsigned(user)
	for name, test := range map[string]struct {
		code   int
		answer string
		status int
		want   string
	}{
		"good":               {201, fmt.Sprintf(accepted, tokenreview.Audience, user), 0, ""},
		"other audience":     {201, fmt.Sprintf(accepted, "other", user), 401, "does not confirm"},
		"no audiences":       {201, `{"kind":"TokenReview","status":{"authenticated":true,"user":{"username":"` + user + `"}}}`, 401, "does not confirm"},
		"other account":      {201, fmt.Sprintf(accepted, tokenreview.Audience, "system:serviceaccount:default:gone"), 401, "says otherwise"},
		"a person":           {201, fmt.Sprintf(accepted, tokenreview.Audience, "jane"), 401, "says otherwise"},
		"not authenticated":  {201, `{"kind":"TokenReview","status":{}}`, 401, "does not accept it"},
		"another kind":       {200, `{"kind":"Status"}`, 503, "no TokenReview"},
		"a page":             {200, `<html>`, 503, "no TokenReview"},
		"a redirect":         {302, "", 503, "302 Found"},
		"overloaded":         {429, `{"kind":"Status","message":"try later"}`, 503, "429 Too Many Requests: try later"},
		"the token in words": {500, `{"kind":"Status","message":"what is ` + token + `?"}`, 503, "what is …?"},
		"half an answer":     {-1, `{"kind":`, 503, "half way"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				if test.code < 0 {
					w.Header().Set("Content-Length", "1000")
					test.code = 201
				}
				w.WriteHeader(test.code)
				_, _ = io.WriteString(w, test.answer)
			}))
			defer server.Close()
			folder := t.TempDir()
			o := tokenreview.Options{
				Server: server.URL, Sender: senders,
				TokenFile: filepath.Join(folder, "token"), CAFile: filepath.Join(folder, "ca.crt"),
			}
			write(t, o.TokenFile, "own")
			write(t, o.CAFile, certificate(server))
			r, err := tokenreview.New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			expect(t, r, token, test.status, test.want)
		})
	}
}

func TestOptions(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	write(t, file, "content")
	good := tokenreview.Options{Server: "https://[::1]:6443", TokenFile: file, CAFile: file, Sender: senders}
	for name, test := range map[string]struct {
		change func(*tokenreview.Options)
		host   string // of the cluster
		want   string
	}{
		"good":         {change: func(*tokenreview.Options) {}},
		"in a cluster": {change: func(o *tokenreview.Options) { o.Server = "" }, host: "fd00::1"},
		"no cluster":   {change: func(o *tokenreview.Options) { o.Server = "" }, want: "runs in no cluster"},
		"no TLS":       {change: func(o *tokenreview.Options) { o.Server = "http://x" }, want: "want https://"},
		"no host":      {change: func(o *tokenreview.Options) { o.Server = "https:///" }, want: "want https://"},
		"no senders":   {change: func(o *tokenreview.Options) { o.Sender = nil }, want: "which ServiceAccounts are senders"},
		"no token":     {change: func(o *tokenreview.Options) { o.TokenFile = "" }, want: "automountServiceAccountToken"},
		"no authority": {change: func(o *tokenreview.Options) { o.CAFile = folder + "/none" }, want: "certificate authority"},
		"no time":      {change: func(o *tokenreview.Options) { o.Timeout = -time.Second }, want: "Timeout is -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", test.host)
			t.Setenv("KUBERNETES_SERVICE_PORT", "443")
			o := good
			test.change(&o)
			err := o.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if test.host != "" && o.Server != "https://[fd00::1]:443" {
				t.Errorf("the API server is %s", o.Server)
			}
		})
	}
}

var _ gateway.Authenticator = (*tokenreview.Reviewer)(nil)
