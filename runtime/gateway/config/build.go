package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/plan"
)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	typePattern = regexp.MustCompile(`^[A-Za-z0-9._/*-]{1,128}$`)
	account     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
)

// builder makes a Config of the senders, and collects what is wrong.
type builder struct {
	folder string
	config *Config
	names  map[string]bool
	faults plan.Errors
}

func (b *builder) fault(path, format string, args ...any) {
	b.faults = append(b.faults, &plan.Error{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (b *builder) sender(path string, s *sender) {
	switch {
	case !namePattern.MatchString(s.Name):
		b.fault(path+".name", "%q is no name: up to 63 lower case letters, digits and hyphens, a letter or a digit at both ends", s.Name)
	case b.names[s.Name]:
		b.fault(path+".name", "there is another sender %q: names are unique", s.Name)
	}
	b.names[s.Name] = true
	made := &gateway.Sender{Name: s.Name, Types: s.EventTypes}
	if len(s.EventTypes) == 0 {
		b.fault(path+".eventTypes", "is missing: list what it may send, such as order/*, or * for everything")
	}
	for i, pattern := range s.EventTypes {
		if !typePattern.MatchString(pattern) {
			b.fault(fmt.Sprintf("%s.eventTypes[%d]", path, i), "%q is no pattern of event types: up to 128 letters, digits and . _ / - *", pattern)
		}
	}
	made.Rate = b.rate(path+".rate", s.Rate)
	if s.Keys == "" && len(s.ServiceAccounts) == 0 {
		b.fault(path, "has neither keys nor serviceAccounts: nobody could send")
	}
	if s.Keys != "" {
		b.keys(path+".keys", s.Keys, made)
	}
	for i, name := range s.ServiceAccounts {
		at := fmt.Sprintf("%s.serviceAccounts[%d]", path, i)
		switch other := b.config.accounts[name]; {
		case !account.MatchString(name):
			b.fault(at, "%q is no ServiceAccount: write namespace/name", name)
		case other != nil:
			b.fault(at, "%s is the sender %s already", name, other.Name)
		}
		b.config.accounts[name] = made
	}
	b.config.Senders = append(b.config.Senders, made)
}

func (b *builder) rate(path string, r *rate) *gateway.Rate {
	if r == nil {
		return nil
	}
	if r.Limit < 1 {
		b.fault(path+".limit", "is %d, want 1 or more", r.Limit)
	}
	if r.Burst < 0 {
		b.fault(path+".burst", "is %d, want 1 or more", r.Burst)
	}
	made := &gateway.Rate{Limit: max(1, r.Limit), Burst: r.Burst}
	if made.Burst == 0 {
		made.Burst = made.Limit
	}
	var err error
	switch made.Period, err = r.Period.Parse(); {
	case err != nil:
		b.fault(path+".period", "%v", err)
	case made.Period == 0:
		b.fault(path+".period", "is missing: write a duration such as 1s or 1m")
	case made.Interval() < time.Microsecond:
		b.fault(path+".limit", "%d in %s is more than one event in a microsecond: leave the rate out", r.Limit, r.Period)
	}
	return made
}

// absolute returns a path of the file, which is below its folder if relative.
func (b *builder) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.folder, path)
}

// secretFiles makes the paths of the webhooks absolute.
func (b *builder) secretFiles() {
	for _, w := range b.config.Webhooks {
		for i, path := range w.Verify.SecretFiles {
			w.Verify.SecretFiles[i] = b.absolute(path)
		}
	}
}

// keys reads the keys of a sender.
func (b *builder) keys(path, folder string, s *gateway.Sender) {
	folder = b.absolute(folder)
	b.config.folders = append(b.config.folders, folder)
	keys, faults := readKeys(folder)
	for _, err := range faults {
		b.fault(path, "%v", err)
	}
	for file, key := range keys {
		if other := b.config.keys.add(key, s); other != nil {
			b.fault(path, "the key in %s is one of the sender %s too: each sender has its own", file, other.Name)
		}
	}
}
