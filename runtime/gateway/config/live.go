package config

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"sync/atomic"

	"github.com/wildout/wildout/runtime/gateway"
)

// Live is the configuration of a file, as it was when it last held.
type Live struct {
	file    string
	log     *slog.Logger
	current atomic.Pointer[Config]
	trouble atomic.Pointer[error]
	// applied is called with each new Config before it counts; an error keeps
	// the last one.
	applied func(*Config) error
}

// Open reads the configuration for the first time. apply is called with each
// Config before it is used, from one goroutine; it may refuse it.
func Open(file string, log *slog.Logger, apply func(*Config) error) (*Live, error) {
	l := &Live{file: file, log: log, applied: apply}
	first, err := Load(file)
	if err == nil {
		err = apply(first)
	}
	if err != nil {
		return nil, err
	}
	l.current.Store(first)
	return l, nil
}

// Current is the configuration that counts now.
func (l *Live) Current() *Config { return l.current.Load() }

// Trouble says why the configuration that counts is not the one on disk; nil:
// it is.
func (l *Live) Trouble() error {
	if err := l.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// Files are what to watch.
func (l *Live) Files() []string { return append([]string{l.file}, l.Current().Files()...) }

// Reload reads everything again. When it does not hold, the last one stays,
// and the log says why, once.
func (l *Live) Reload() {
	next, err := Load(l.file)
	if err == nil {
		err = l.applied(next)
	}
	last := l.Trouble()
	if err != nil {
		l.trouble.Store(&err)
		if last == nil || last.Error() != err.Error() {
			l.log.Error("the configuration cannot be used; the last good one stays", "error", err)
		}
		return
	}
	l.trouble.Store(nil)
	if changes := differences(l.current.Swap(next), next); changes != "" || last != nil {
		l.log.Info("the configuration was read again", "changed", changes)
	}
}

// Authenticate implements gateway.Authenticator for the keys that count now.
func (l *Live) Authenticate(ctx context.Context, credential string) (*gateway.Sender, error) {
	return l.Current().Authenticate(ctx, credential)
}

// differences says what changed, without a word of the keys themselves.
func differences(last, next *Config) string {
	switch {
	case !reflect.DeepEqual(last.Senders, next.Senders) || !maps.EqualFunc(last.accounts, next.accounts, sameName):
		return "senders"
	case !maps.EqualFunc(last.keys, next.keys, func(a, b holder) bool { return a.digest == b.digest && sameName(a.sender, b.sender) }):
		return "keys"
	case !reflect.DeepEqual(last.Webhooks, next.Webhooks):
		return "webhooks"
	}
	return ""
}

func sameName(a, b *gateway.Sender) bool { return a.Name == b.Name }
