package controllers

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wildout/wildout/controllers/desired"
)

// Options are the settings of the operator, as far as the controllers need them.
type Options struct {
	// RunnerImage is the standard runner's.
	RunnerImage string
	// Runners are further settings of the runners of all functions.
	Runners desired.Settings
	// MaxRollouts is how many functions at most get new runners at once where
	// the operator, or a Secret, is why: not where a person changes a function.
	// Default: 20.
	MaxRollouts int
	// RedisSecret is the name of the Secret, in the namespace of a function,
	// with the URL of Redis, where the function names none.
	RedisSecret string
	// RedisAddresses are those of Redis that the operator may connect to; none:
	// all. Whoever may write a Secret of that name says where it connects to.
	RedisAddresses []netip.Prefix
	// PollInterval is the time between two looks at a Redis. Default: 5s.
	PollInterval time.Duration
	// WakeInterval is the time between two looks whether something has come for
	// functions without runners. Default: 250ms.
	WakeInterval time.Duration
	// SecretInterval is the time between two looks at a Secret. Default: 10s.
	SecretInterval time.Duration
	// StatusInterval is how often at most the numbers of a status are written.
	// Default: 15s.
	StatusInterval time.Duration
	// TakeoverWindow is the time over which an operator that takes over applies
	// once more what the one before it seems to have left complete. Default: 2m.
	TakeoverWindow time.Duration
	// DeletionTimeout is how long a function that is being deleted waits for
	// its pods to end and for Redis. Default: 1m.
	DeletionTimeout time.Duration
	// Metrics is where the operator's own metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
	// Workers is how many functions are reconciled at once. Default: 8.
	Workers int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Validate reports what is missing or wrong, and fills in the defaults.
func (o *Options) Validate() error {
	if o.RunnerImage == "" {
		return errors.New("no runner image: set it to the image of the standard runner, such as registry.example.com/wildout/runner:1.0.0")
	}
	if faults := validation.IsDNS1123Subdomain(o.RedisSecret); len(faults) > 0 {
		return fmt.Errorf("the name of the Redis Secret, %q, is no name of a Secret: %s", o.RedisSecret, faults[0])
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"poll interval", &o.PollInterval, 5 * time.Second},
		{"wake interval", &o.WakeInterval, 250 * time.Millisecond},
		{"secret interval", &o.SecretInterval, 10 * time.Second},
		{"status interval", &o.StatusInterval, 15 * time.Second},
		{"takeover window", &o.TakeoverWindow, 2 * time.Minute},
		{"deletion timeout", &o.DeletionTimeout, time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
		if *d.value < 0 {
			return fmt.Errorf("the %s is %s, and must be more than 0", d.name, *d.value)
		}
	}
	if err := o.Runners.Validate(); err != nil {
		return err
	}
	if o.MaxRollouts == 0 {
		o.MaxRollouts = 20
	}
	if o.MaxRollouts < 1 {
		return fmt.Errorf("there are %d rollouts at once, and must be at least 1", o.MaxRollouts)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Workers < 1 {
		return fmt.Errorf("there are %d workers, and must be at least 1", o.Workers)
	}
	return nil
}
