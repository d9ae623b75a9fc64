package plan

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// The lengths and patterns of the schema of the custom resource.
const (
	maxExpression = 2048
	maxTemplate   = 4096
	maxMessage    = 1024
	maxName       = 52 // of a function: it becomes part of other names
	maxStepName   = 63
	maxHandler    = 128
	maxEventType  = 128
)

var (
	dnsLabel       = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	handlerName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	eventTypeName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)
	multiplierText = regexp.MustCompile(`^([1-9][0-9]?|100)(\.[0-9]+)?$`)
	cronText       = regexp.MustCompile(`^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$`)
	zoneText       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)
	jitterText     = regexp.MustCompile(`^(0(\.[0-9]+)?|1(\.0+)?)$`)
)

func (c *compiler) count(path string, n, least, most int) {
	switch {
	case n < least:
		c.errorf(path, "must have at least one entry")
	case n > most:
		c.errorf(path, "has %d entries, the limit is %d", n, most)
	}
}

func (c *compiler) within(path string, n, least, most int64) {
	if n < least || n > most {
		c.errorf(path, "is %d, it must be from %d to %d", n, least, most)
	}
}

func (c *compiler) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.errorf(path, "is %q, it must be %s", value, strings.Join(allowed, " or "))
	}
}

// name checks a name; example is one that would do.
func (c *compiler) name(path, name string, pattern *regexp.Regexp, longest int, rule, example string) {
	switch {
	case name == "":
		c.errorf(path, "is missing: write a name such as %s", example)
	case !c.length(path, name, longest):
	case !pattern.MatchString(name):
		c.errorf(path, "%q is no such name: %s, such as %s", name, rule, example)
	}
}

const labelRule = "lower case letters, digits and hyphens, a letter or a digit at both ends"

// CheckFunction says why a function cannot have that name.
func CheckFunction(name string) error {
	c := &compiler{}
	c.functionName("the function", name)
	return c.errs.err()
}

// CheckEventType says why no event type can have that name.
func CheckEventType(name string) error {
	c := &compiler{}
	c.eventType("the event type", v1alpha1.EventTypeName(name))
	return c.errs.err()
}

func (c *compiler) functionName(path, name string) {
	c.name(path, name, dnsLabel, maxName, labelRule, "send-welcome-email")
}

func (c *compiler) stepName(path, name string) {
	c.name(path, name, dnsLabel, maxStepName, labelRule, "log-registration")
}

func (c *compiler) eventType(path string, t v1alpha1.EventTypeName) {
	c.name(path, string(t), eventTypeName, maxEventType,
		"letters, digits and . _ / -, a letter or a digit at both ends", "user/registered")
}

func (c *compiler) handler(path, name string) {
	before := len(c.errs)
	c.name(path, name, handlerName, maxHandler, "lower case letters, digits, dots and hyphens", "email.send")
	if len(c.errs) == before && c.opts.KnownHandler != nil && !c.opts.KnownHandler(name) {
		c.errorf(path, "the runner has no handler %q: correct the name, or use a runner image that registers it", name)
		c.errs[len(c.errs)-1].Reason = UnknownHandler
	}
}

// duration checks a length of time; left out it is 0, else more.
func (c *compiler) duration(path string, d v1alpha1.Duration) time.Duration {
	if !c.length(path, string(d), 32) {
		return 0
	}
	length, err := d.Parse()
	if err != nil {
		c.errorf(path, "%v", err)
	}
	return length
}

func (c *compiler) requiredDuration(path string, d v1alpha1.Duration) time.Duration {
	if d == "" {
		c.errorf(path, "is missing: write a duration such as 1m30s or 72h")
	}
	return c.duration(path, d)
}

// defaultRetry is the policy of a step where none is written.
var defaultRetry = Retry{
	MaxAttempts: 4, InitialInterval: time.Second, Multiplier: 2, MaxInterval: 10 * time.Minute, Jitter: 0.2,
}

// retry compiles a policy whose defaults are filled in.
func (c *compiler) retry(path string, p *v1alpha1.RetryPolicy, inherited Retry) Retry {
	if p == nil {
		return inherited
	}
	c.within(path+".maxAttempts", int64(p.MaxAttempts), 1, 100)
	out := Retry{
		MaxAttempts:     int(p.MaxAttempts),
		InitialInterval: c.duration(path+".initialInterval", p.InitialInterval),
		Multiplier:      c.decimal(path+".multiplier", p.Multiplier, multiplierText, 1, 100),
		MaxInterval:     c.duration(path+".maxInterval", p.MaxInterval),
		Jitter:          c.decimal(path+".jitter", p.Jitter, jitterText, 0, 1),
	}
	if out.MaxInterval > 0 && out.InitialInterval > out.MaxInterval {
		c.errorf(path+".initialInterval", "is %s, longer than maxInterval (%s)", p.InitialInterval, p.MaxInterval)
	}
	return out
}

func (c *compiler) decimal(path, text string, pattern *regexp.Regexp, least, most float64) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > 8 || !pattern.MatchString(text) || n < least || n > most {
		c.errorf(path, "%q must be a decimal number from %g to %g, of at most 8 characters", text, least, most)
		return least
	}
	return n
}
