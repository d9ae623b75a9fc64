// Command runner is the standard runner: it runs one function with the
// standard handlers. `runner --help` lists its settings.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/wildout/wildout/internal/standard"
	"github.com/wildout/wildout/runtime/runner"
	"github.com/wildout/wildout/runtime/telemetry"
)

func main() { runner.MainWith(setup, usage) }

// usage is the part of --help about the standard handlers.
const usage = `
The standard handlers read these variables, or files likewise:
  WILDOUT_DATABASE_URL         postgres://user:password@host:5432/name, or sqlite:FILE
  WILDOUT_SMTP_URL             smtp://user:password@host:587, or smtps://…
  WILDOUT_SMTP_FROM            the sender of mails that name none
  WILDOUT_SIGNING_SECRETS_DIR  folder with the secrets that sign requests, a file for each
  WILDOUT_HTTP_ALLOW_PRIVATE   true: http.request may reach private addresses
  WILDOUT_HTTP_ALLOW_CIDRS     addresses that it may reach in any case: 10.0.0.0/8,…
`

// setup makes the standard handlers from the environment.
func setup(ctx context.Context, r runner.Resources) (runner.Handlers, error) {
	o := standard.Options{
		Fallback: r.Store.Fallback("audit"), CheckRedis: r.Store.Ping, Logger: r.Logger,
		Backlog: func(ctx context.Context) (int64, error) { return telemetry.TotalBacklog(ctx, r.Store) },
	}
	var private, cidrs string
	for name, into := range map[string]*string{
		"WILDOUT_DATABASE_URL":        &o.DatabaseURL,
		"WILDOUT_SMTP_URL":            &o.SMTPURL,
		"WILDOUT_SMTP_FROM":           &o.From,
		"WILDOUT_SIGNING_SECRETS_DIR": &o.SecretsDir,
		"WILDOUT_HTTP_ALLOW_PRIVATE":  &private,
		"WILDOUT_HTTP_ALLOW_CIDRS":    &cidrs,
	} {
		var err error
		if *into, err = r.Settings.Value(name); err != nil {
			return runner.Handlers{}, err
		}
	}
	if err := parseHTTP(&o, private, cidrs); err != nil {
		return runner.Handlers{}, err
	}
	set, err := standard.New(ctx, o)
	if err != nil {
		return runner.Handlers{}, err
	}
	return runner.Handlers{Registry: set.Registry, Missing: set.Missing, Run: set.Run, Close: set.Close}, nil
}

func parseHTTP(o *standard.Options, private, cidrs string) (err error) {
	if private != "" {
		if o.AllowPrivate, err = strconv.ParseBool(private); err != nil {
			return fmt.Errorf("WILDOUT_HTTP_ALLOW_PRIVATE is %q, want true or false", private)
		}
	}
	for text := range strings.FieldsFuncSeq(cidrs, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("WILDOUT_HTTP_ALLOW_CIDRS: %w, want a list such as 10.0.0.0/8,192.168.1.0/24", err)
		}
		o.AllowCIDRs = append(o.AllowCIDRs, prefix)
	}
	return nil
}
