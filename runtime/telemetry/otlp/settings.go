package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Settings say where spans go, and how.
type Settings struct {
	// URL is the address that requests are sent to, with its path.
	URL string
	// Headers go with each request; may be nil.
	Headers http.Header
	// Timeout bounds one request.
	Timeout time.Duration
	// Gzip compresses the requests.
	Gzip bool
	// TLS is for https: who is trusted, and who we are; nil: as the system has it.
	TLS *tls.Config
}

// defaultTimeout is what the specification says.
const defaultTimeout = 10 * time.Second

// FromEnvironment reads the settings. Each variable OTEL_EXPORTER_OTLP_X may be
// given as OTEL_EXPORTER_OTLP_TRACES_X too, which wins. An error names the variable.
func FromEnvironment(getenv func(name string) string) (Settings, error) {
	env := environment(getenv)
	s := Settings{}
	var errs [5]error
	s.URL, errs[0] = env.url()
	s.Headers, errs[1] = env.headers()
	s.Timeout, errs[2] = env.timeout()
	s.Gzip, errs[3] = env.gzip()
	s.TLS, errs[4] = env.tls()
	return s, errors.Join(errs[:]...)
}

// environment looks variables up.
type environment func(name string) string

const (
	forAll    = "OTEL_EXPORTER_OTLP_"
	forTraces = "OTEL_EXPORTER_OTLP_TRACES_"
)

// find returns the value of a setting and the variable that it is from.
func (env environment) find(setting string) (value, variable string) {
	if value = env(forTraces + setting); value != "" {
		return value, forTraces + setting
	}
	return env(forAll + setting), forAll + setting
}

// url returns the address for traces. The variable for all signals is a base,
// the one for traces is the address itself.
func (env environment) url() (string, error) {
	value, variable := env.find("ENDPOINT")
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s cannot be used (it is not shown, for it may hold a password): want an address such as http://collector:4318", variable)
	}
	if variable == forAll+"ENDPOINT" {
		u = u.JoinPath("v1", "traces")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// headers reads name=value,name=value, with values as in addresses (%20).
func (env environment) headers() (http.Header, error) {
	value, variable := env.find("HEADERS")
	headers := http.Header{}
	for pair := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, text, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		text, err := url.PathUnescape(strings.TrimSpace(text))
		if !ok || name == "" || err != nil {
			// The value may be a password: it is not said.
			return nil, fmt.Errorf("%s: the header %q has no value that can be read, want name=value,name=value with %%20 for a space", variable, name)
		}
		headers.Set(name, text)
	}
	return headers, nil
}

// timeout reads milliseconds.
func (env environment) timeout() (time.Duration, error) {
	value, variable := env.find("TIMEOUT")
	if value == "" {
		return defaultTimeout, nil
	}
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil || ms <= 0 {
		return 0, fmt.Errorf("%s is %q, want milliseconds, such as 10000", variable, value)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (env environment) gzip() (bool, error) {
	switch value, variable := env.find("COMPRESSION"); value {
	case "gzip":
		return true, nil
	case "", "none":
		return false, nil
	default:
		return false, fmt.Errorf("%s is %q, want gzip or none", variable, value)
	}
}

// tls reads the files with the certificates of who is trusted, and our own.
func (env environment) tls() (*tls.Config, error) {
	trusted, trustedVariable := env.find("CERTIFICATE")
	own, ownVariable := env.find("CLIENT_CERTIFICATE")
	key, keyVariable := env.find("CLIENT_KEY")
	if trusted == "" && own == "" && key == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if trusted != "" {
		text, err := os.ReadFile(trusted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", trustedVariable, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in %s, want PEM", trustedVariable, trusted)
		}
	}
	if own != "" || key != "" {
		certificate, err := tls.LoadX509KeyPair(own, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", ownVariable, keyVariable, err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
