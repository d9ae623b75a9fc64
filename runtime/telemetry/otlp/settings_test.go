package otlp

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fromEnvironment(env map[string]string) (Settings, error) {
	return FromEnvironment(func(name string) string { return env[strings.TrimPrefix(name, forAll)] })
}

func TestFromEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want Settings
	}{
		"the address of all signals is a base": {
			env:  map[string]string{"ENDPOINT": "http://c:4318"},
			want: Settings{URL: "http://c:4318/v1/traces", Timeout: 10 * time.Second},
		},
		"also with a path": {
			env:  map[string]string{"ENDPOINT": "https://c/otlp/"},
			want: Settings{URL: "https://c/otlp/v1/traces", Timeout: 10 * time.Second},
		},
		"the address of traces is taken as it is": {
			env:  map[string]string{"ENDPOINT": "http://c:4318", "TRACES_ENDPOINT": "http://t:1/in"},
			want: Settings{URL: "http://t:1/in", Timeout: 10 * time.Second},
		},
		"and has a path": {
			env:  map[string]string{"TRACES_ENDPOINT": "http://t:1"},
			want: Settings{URL: "http://t:1/", Timeout: 10 * time.Second},
		},
		"all the rest": {
			env: map[string]string{"ENDPOINT": "http://c:4318", "TIMEOUT": "250", "COMPRESSION": "gzip", "HEADERS": "api-key=a%20b, tenant = one ,"},
			want: Settings{URL: "http://c:4318/v1/traces", Timeout: 250 * time.Millisecond, Gzip: true,
				Headers: map[string][]string{"Api-Key": {"a b"}, "Tenant": {"one"}}},
		},
		"what is for traces wins": {
			env: map[string]string{"ENDPOINT": "http://c:4318", "TIMEOUT": "250", "TRACES_TIMEOUT": "1000",
				"COMPRESSION": "gzip", "TRACES_COMPRESSION": "none", "HEADERS": "a=1", "TRACES_HEADERS": "b=2"},
			want: Settings{URL: "http://c:4318/v1/traces", Timeout: time.Second, Headers: map[string][]string{"B": {"2"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fromEnvironment(test.env)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Headers) == 0 {
				got.Headers = nil
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("settings %+v, want %+v", got, test.want)
			}
		})
	}
}

// A fault names the variable, as whoever mends it knows nothing else of it.
func TestFaultsNameTheVariable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"ENDPOINT": "collector:4318", "TRACES_ENDPOINT": "http://", "TIMEOUT": "10s", "TRACES_TIMEOUT": "0", "COMPRESSION": "zstd",
		"HEADERS": "secret", "TRACES_HEADERS": "a=%zz", "CERTIFICATE": missing, "TRACES_CERTIFICATE": empty, "CLIENT_KEY": missing,
	} {
		t.Run(variable, func(t *testing.T) {
			env := map[string]string{"ENDPOINT": "http://c:4318"}
			env[variable] = value
			_, err := fromEnvironment(env)
			if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_"+variable) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A header is a password as a rule.
func TestFaultsOfHeadersKeepTheirValues(t *testing.T) {
	for _, address := range []string{"http://user:hunter2/x@c:4318", "http://user:hunter2%zz@c", "ftp://user:hunter2@c", "user:hunter2@c"} {
		if _, err := fromEnvironment(map[string]string{"ENDPOINT": address}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := fromEnvironment(map[string]string{"ENDPOINT": "http://c:4318", "HEADERS": "key=hunter2%zz"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

// certificateOf writes the certificate of a server to a file.
func certificateOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
