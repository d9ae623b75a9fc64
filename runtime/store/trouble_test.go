package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestTroubleOf(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		want   Trouble
		advice string // in what Explain adds
	}{
		"none":          {nil, NoTrouble, ""},
		"password":      {answer("WRONGPASS invalid username-password pair"), Unauthorized, "check the Redis URL"},
		"no password":   {answer("NOAUTH Authentication required"), Unauthorized, "the Redis URL has none"},
		"a replica":     {answer("READONLY You can't write against a read only replica"), ReadOnly, "point the Redis URL at the primary"},
		"full":          {answer("OOM command not allowed when used memory > 'maxmemory'"), Full, "raise it"},
		"no disk":       {answer("MISCONF Errors writing to the AOF file"), Full, "its disk may be full"},
		"starting":      {answer("LOADING Redis is loading the dataset in memory"), Unreachable, "passes by itself"},
		"cluster":       {answer("CLUSTERDOWN The cluster is down"), Unreachable, ""},
		"no connection": {redis.ErrPoolTimeout, Unreachable, ""},
		"broken":        {io.EOF, Unreachable, "may want TLS"},
		"refused":       {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, Unreachable, "nothing listens"},
		"hangs":         {context.DeadlineExceeded, Unreachable, "does not answer in time"},
		"authority":     {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, Unreachable, "ca.crt"},
		"other name":    {&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "redis"}}, Unreachable, "does not fit"},
		"no TLS":        {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, Unreachable, "redis://"},
		"anything else": {answer("ERR unknown command"), Refused, ""},
	} {
		t.Run(name, func(t *testing.T) {
			explained := Explain(tc.err)
			for _, err := range []error{tc.err, explained} {
				if err != nil {
					err = fmt.Errorf("read: %w", err)
				}
				if got := TroubleOf(err); got != tc.want {
					t.Errorf("TroubleOf(%v) = %d, want %d", err, got, tc.want)
				}
			}
			if tc.advice != "" && !strings.Contains(explained.Error(), tc.advice) {
				t.Errorf("%v does not say %q", explained, tc.advice)
			}
		})
	}
}

// A URL that cannot be used says so before anything is dialled, with what to
// write instead.
func TestURLsThatAreNotUnderstood(t *testing.T) {
	for url, want := range map[string]string{
		"redis+sentinel://:secret@a:26379,b:26379/mymaster/0": "Sentinel",
		"redis-sentinel://a:26379":                            "Sentinel",
		"sentinel://a:26379":                                  "Sentinel",
		"redis-cluster://:secret@a:6379,b:6379":               "redis://HOST:6379,HOST:6379",
		"redis+cluster://a:6379":                              "redis://HOST:6379,HOST:6379",
		"unix:///run/redis.sock":                              "Unix socket",
		"http://a:6379":                                       "it looks like redis://",
		"redis://a:6379,b:6379":                               "",
		"rediss://:secret@a:6379/1":                           "",
	} {
		o := Options{URL: url, Namespace: "n"}
		err := o.Validate()
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: %v, want …%s…, and no password", url, err, want)
		}
	}
}
