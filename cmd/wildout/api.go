package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/cluster"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
)

// defaultURL is where `wildout dev` answers.
const defaultURL = "http://127.0.0.1:8288"

// apiFlags say where wildout answers, who asks, and how to print.
type apiFlags struct {
	url, gateway     string
	token, tokenFile string
	caFile           string
	cluster          cluster.Options
	output           term.Format
	cmd              *cobra.Command
	// through is how the client reaches a cluster; nil: it does not.
	through *cluster.Transport
}

func (a *apiFlags) add(cmd *cobra.Command) {
	a.cmd = cmd
	flags := cmd.Flags()
	flags.StringVar(&a.url, "url", cmp.Or(os.Getenv("WILDOUT_URL"), defaultURL), "where wildout answers, if not in a cluster; or $WILDOUT_URL")
	flags.StringVar(&a.token, "token", "", "bearer token; better $WILDOUT_TOKEN, which other users do not see")
	flags.StringVar(&a.tokenFile, "token-file", os.Getenv("WILDOUT_TOKEN_FILE"), "file with the token; or $WILDOUT_TOKEN_FILE")
	flags.StringVar(&a.caFile, "ca-file", os.Getenv("WILDOUT_CA_FILE"), "PEM file with the authorities to trust for https; or $WILDOUT_CA_FILE")
	a.cluster.AddFlags(flags)
	a.output = term.Text
	flags.VarP(&a.output, "output", "o", "how to print: text, json, yaml, or name (ids only)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(term.Formats, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// client returns a client for what the flags say.
func (a *apiFlags) client() (*console.Client, error) {
	inCluster, err := a.inCluster()
	if err != nil {
		return nil, err
	}
	token, err := a.readToken()
	if err != nil {
		return nil, err
	}
	if inCluster {
		a.url = ""
	}
	for _, address := range []string{a.url, a.gateway} {
		if address == "" {
			continue
		}
		if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, usagef("the URL %q cannot be used: it looks like http://127.0.0.1:8288", address)
		}
	}
	transport, err := a.transport()
	if err != nil {
		return nil, err
	}
	if inCluster {
		return a.clusterClient(token, transport)
	}
	return &console.Client{URL: a.url, Gateway: a.gateway, Token: token, HTTP: &http.Client{Transport: transport}}, nil
}

// inCluster reports whether the console and the gateway of a cluster are meant:
// for `kubectl wildout`, and where a flag names a cluster or a namespace, unless
// there is a URL.
func (a *apiFlags) inCluster() (bool, error) {
	given := a.cmd.Flags().Changed("url")
	if given && a.cluster.Given() {
		return false, usagef("--url is one place, --namespace, --context and --kubeconfig are another: not both")
	}
	return a.cluster.Given() || isPlugin(a.cmd) && !given && os.Getenv("WILDOUT_URL") == "", nil
}

// clusterClient returns a client whose requests go through the API server.
func (a *apiFlags) clusterClient(token string, elsewhere http.RoundTripper) (*console.Client, error) {
	c, err := cluster.Connect(a.cluster)
	if err != nil {
		return nil, err
	}
	a.through = c.NewTransport(token, elsewhere)
	return &console.Client{URL: cluster.ConsoleURL, Gateway: cmp.Or(a.gateway, cluster.GatewayURL), HTTP: &http.Client{Transport: a.through}}, nil
}

func (a *apiFlags) readToken() (string, error) {
	switch {
	case a.token != "":
		return a.token, nil
	case a.tokenFile != "":
		text, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return "", usagef("read the token: %v", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	return os.Getenv("WILDOUT_TOKEN"), nil
}

// transport bounds how long a connection may take to come about; an answer may
// take as long as it likes, for a stream never ends.
func (a *apiFlags) transport() (*http.Transport, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the standard library has no HTTP transport")
	}
	t := base.Clone()
	t.ResponseHeaderTimeout = time.Minute
	t.MaxIdleConnsPerHost = parallel
	if a.caFile == "" {
		return t, nil
	}
	text, err := os.ReadFile(a.caFile)
	if err != nil {
		return nil, usagef("read the authorities: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, usagef("%s has no certificate in PEM form", a.caFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// usageError says that the command line is at fault.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// usage marks the errors of an argument check as faults of the command line.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
		}
		return nil
	}
}
