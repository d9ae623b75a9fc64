package webhook

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/plan"
)

// Config is one entry of `webhooks` in the configuration of the gateway.
type Config struct {
	// Name is the last part of the URL, /webhooks/{name}: lower case letters,
	// digits and hyphens, at most 63.
	Name string `json:"name"`
	// Verify says how a request proves where it comes from. It has no default:
	// a webhook that takes anything says so with the scheme none.
	Verify Verify `json:"verify"`
	// EventTypes are patterns of the event types that may come of it: * stands
	// for any characters. Default: every type. Worth setting where a type holds
	// an expression.
	EventTypes []string `json:"eventTypes,omitempty"`
	// Rate bounds the events of this webhook. Nil: no bound.
	Rate *Rate `json:"rate,omitempty"`
	// Events says which events a request becomes: one for each entry whose
	// `if` holds. When none holds, the request is answered with 200 and
	// ignored.
	Events []Mapping `json:"events"`
}

// Rate allows Limit events per Period on the average, and Burst at once.
type Rate struct {
	Limit  int               `json:"limit"`
	Period v1alpha1.Duration `json:"period"`
	// Burst is 1 or more. Default: Limit.
	Burst int `json:"burst,omitempty"`
}

// Verify says how a request proves where it comes from.
type Verify struct {
	Scheme Scheme `json:"scheme"`
	// SecretFiles are files with secrets, one on each line; a request may be
	// signed with any of them, so that a secret can be rotated. They are read
	// again when they change. A file that is not there counts as empty.
	SecretFiles []string `json:"secretFiles,omitempty"`
	// Tolerance is how far the time of a signature may be from ours: at most
	// 24h, for which the ids of events are remembered. Default: 5m. GitHub
	// signs no time.
	Tolerance v1alpha1.Duration `json:"tolerance,omitempty"`
}

// Scheme is a way to sign requests.
type Scheme string

// The schemes.
const (
	// StandardWebhooks signs id, time and body: www.standardwebhooks.com.
	StandardWebhooks Scheme = "standardWebhooks"
	// GitHub signs the body, in X-Hub-Signature-256.
	GitHub Scheme = "github"
	// Stripe signs time and body, in Stripe-Signature.
	Stripe Scheme = "stripe"
	// None takes every request.
	None Scheme = "none"
)

// Mapping says which event a request becomes. Strings are templates with
// ${expressions} in CEL, which see body (the JSON of the request), headers (by
// name in lower case), query and name (of the webhook).
type Mapping struct {
	// If is a condition in CEL, without ${}. Empty: always.
	If string `json:"if,omitempty"`
	// ForEach is one ${expression} that gives a list: there is an event for
	// each `item` of it. Empty: one event.
	ForEach string `json:"forEach,omitempty"`
	// Type is the event type.
	Type string `json:"type"`
	// ID is the id of the event: of events of one type with one id, within 24
	// hours only the first counts. Default: the id of the delivery, which is
	// webhook-id, X-GitHub-Delivery, or the id of the event at Stripe; with
	// ForEach, a dot and the number of the item follow.
	ID string `json:"id,omitempty"`
	// Subject is the subject of the event. May be empty.
	Subject string `json:"subject,omitempty"`
	// Data is the data of the event, an object. Default: the body.
	Data json.RawMessage `json:"data,omitempty"`
}

// Bounds of the configuration.
const (
	maxName          = 63
	maxSecretFiles   = 16
	maxMappings      = 64
	defaultTolerance = 5 * time.Minute
	// maxTolerance is how long the store remembers the id of an event: what is
	// replayed within it is a duplicate.
	maxTolerance = 24 * time.Hour
)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	typePattern = regexp.MustCompile(`^[A-Za-z0-9._/*-]{1,128}$`)
)

// Validate checks the webhooks, which are found at path, without reading their
// secrets. A fault makes an error of type plan.Errors, with every fault.
func Validate(path string, webhooks []Config) error {
	_, err := compile(path, webhooks)
	return err
}

// endpoint is a webhook, compiled.
type endpoint struct {
	name      string
	path      string // in the configuration
	sender    *gateway.Sender
	scheme    scheme
	tolerance time.Duration
	secrets   *secrets // nil: every request is taken
	mappings  []mapping
	warnedAt  atomic.Int64 // s since 1970
}

// mapping is a Mapping, compiled.
type mapping struct {
	path string
	*plan.Mapping
}

// compile checks and compiles all webhooks.
func compile(path string, webhooks []Config) ([]*endpoint, error) {
	var c faults
	endpoints := make([]*endpoint, len(webhooks))
	for i := range webhooks {
		at := fmt.Sprintf("%s[%d]", path, i)
		if slices.ContainsFunc(webhooks[:i], func(w Config) bool { return w.Name == webhooks[i].Name }) {
			c.add(at+".name", "there is another webhook %q: names are unique", webhooks[i].Name)
		}
		endpoints[i] = c.endpoint(at, &webhooks[i])
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return endpoints, nil
}

// faults collects what is wrong with a configuration.
type faults struct{ errs plan.Errors }

func (c *faults) add(path, format string, args ...any) {
	c.errs = append(c.errs, &plan.Error{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (c *faults) endpoint(path string, w *Config) *endpoint {
	switch {
	case w.Name == "":
		c.add(path+".name", "is missing: it is the last part of the URL, such as github")
	case len(w.Name) > maxName || !namePattern.MatchString(w.Name):
		c.add(path+".name", "%q is no name: up to %d lower case letters, digits and hyphens, a letter or a digit at both ends", clip(w.Name), maxName)
	}
	e := &endpoint{name: w.Name, path: path}
	c.verify(path+".verify", &w.Verify, e)
	e.sender = c.sender(path, w)
	if n := len(w.Events); n == 0 || n > maxMappings {
		c.add(path+".events", "has %d entries, want 1 to %d", n, maxMappings)
	}
	for i := range w.Events {
		at := fmt.Sprintf("%s.events[%d]", path, i)
		e.mappings = append(e.mappings, mapping{at, c.mapping(at, &w.Events[i])})
	}
	return e
}

// sender is who the gateway sees.
func (c *faults) sender(path string, w *Config) *gateway.Sender {
	s := &gateway.Sender{Name: "webhook/" + w.Name, Types: w.EventTypes}
	if len(s.Types) == 0 {
		s.Types = []string{"*"}
	}
	for i, pattern := range s.Types {
		if !typePattern.MatchString(pattern) {
			c.add(fmt.Sprintf("%s.eventTypes[%d]", path, i), "%q is no pattern of event types: letters, digits and . _ / - *", clip(pattern))
		}
	}
	if w.Rate == nil {
		return s
	}
	s.Rate = &gateway.Rate{Limit: w.Rate.Limit, Burst: w.Rate.Burst}
	if s.Rate.Burst == 0 {
		s.Rate.Burst = s.Rate.Limit
	}
	if s.Rate.Limit < 1 {
		c.add(path+".rate.limit", "is %d, want 1 or more", s.Rate.Limit)
	}
	if s.Rate.Burst < 1 {
		c.add(path+".rate.burst", "is %d, want 1 or more", s.Rate.Burst)
	}
	var err error
	if s.Rate.Period, err = w.Rate.Period.Parse(); err != nil {
		c.add(path+".rate.period", "%v", err)
	} else if s.Rate.Period <= 0 {
		c.add(path+".rate.period", "is missing: write a duration such as 1s or 1m")
	} else if s.Rate.Limit > 0 && s.Rate.Interval() < time.Microsecond {
		c.add(path+".rate.limit", "%d in %s is more than one event in a microsecond: leave the rate out", s.Rate.Limit, w.Rate.Period)
	}
	return s
}

func (c *faults) verify(path string, v *Verify, e *endpoint) {
	if v.Scheme == None {
		e.scheme = unsigned{}
		if len(v.SecretFiles) > 0 || v.Tolerance != "" {
			c.add(path, "has the scheme none beside secretFiles or tolerance, which it does not use: name the scheme of the sender, or remove them")
		}
		return
	}
	switch v.Scheme {
	case StandardWebhooks:
		e.scheme = standardWebhooks{}
	case GitHub:
		e.scheme = github{}
	case Stripe:
		e.scheme = stripe{}
	default:
		c.add(path+".scheme", "is %q, want %s, %s, %s or %s", v.Scheme, StandardWebhooks, GitHub, Stripe, None)
		return
	}
	c.tolerance(path+".tolerance", v, e)
	if n := len(v.SecretFiles); n == 0 || n > maxSecretFiles {
		c.add(path+".secretFiles", "has %d entries, want 1 to %d: the files that hold the secret of the sender", n, maxSecretFiles)
	}
	for i, file := range v.SecretFiles {
		if strings.TrimSpace(file) == "" {
			c.add(fmt.Sprintf("%s.secretFiles[%d]", path, i), "is empty: write the path of a file")
		}
	}
	e.secrets = &secrets{files: v.SecretFiles, parse: e.scheme.key}
}

func (c *faults) tolerance(path string, v *Verify, e *endpoint) {
	e.tolerance = defaultTolerance
	if v.Tolerance == "" {
		return
	}
	if v.Scheme == GitHub {
		c.add(path, "has no meaning for github, which signs no time: remove it")
		return
	}
	tolerance, err := v.Tolerance.Parse()
	switch {
	case err != nil:
		c.add(path, "%v", err)
	case tolerance < time.Second || tolerance > maxTolerance:
		c.add(path, "is %s, want 1s to 24h: so long ids are remembered, and a request that is sent again starts nothing", v.Tolerance)
	}
	e.tolerance = tolerance
}

func (c *faults) mapping(path string, m *Mapping) *plan.Mapping {
	compiled, err := plan.CompileMapping(path, plan.MappingSpec{
		If: m.If, ForEach: m.ForEach, Type: m.Type, ID: m.ID, Subject: m.Subject, Data: m.Data,
	})
	if found, ok := err.(plan.Errors); ok { //nolint:errorlint // it is never wrapped
		c.errs = append(c.errs, found...)
	} else if err != nil {
		c.add(path, "%v", err)
	}
	return compiled
}

// clip shortens a text from outside for an error.
func clip(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
