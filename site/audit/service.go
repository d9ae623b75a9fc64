package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// Fallback keeps entries outside the database while that does not answer.
type Fallback interface {
	// Append keeps entry until it is drained; the same key may come twice.
	Append(ctx context.Context, key string, entry []byte) error
	// Drain passes up to max entries to fn, oldest first, and removes each
	// only after fn returned nil; it stops at the first error of fn. It
	// returns the number removed.
	Drain(ctx context.Context, most int, fn func(ctx context.Context, entry []byte) error) (int, error)
}

// Options are what a Service needs.
type Options struct {
	DB       *schema.DB
	Fallback Fallback
	// Stderr gets a JSON line for each entry that goes to the fallback, for
	// the log collector of the cluster.
	Stderr io.Writer
	Logger *slog.Logger
	// DrainInterval is the time between two looks at the fallback; 0 means 3 s.
	DrainInterval time.Duration
}

// Validate names what is missing.
func (o Options) Validate() error {
	var faults []error
	if o.DB == nil {
		faults = append(faults, errors.New("no database"))
	}
	if o.Fallback == nil {
		faults = append(faults, errors.New("no fallback: entries would be lost while the database is away"))
	}
	if o.Stderr == nil {
		faults = append(faults, errors.New("no stderr"))
	}
	if o.Logger == nil {
		faults = append(faults, errors.New("no logger"))
	}
	return errors.Join(faults...)
}

// Service is the audit log.
type Service struct {
	Options
	stderr sync.Mutex
	// pending: this process appended to the fallback since it last emptied it.
	pending atomic.Bool
}

// NewService checks the options and starts nothing.
func NewService(options Options) (*Service, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if options.DrainInterval == 0 {
		options.DrainInterval = 3 * time.Second
	}
	return &Service{Options: options}, nil
}

// Register adds the audit handlers.
func (s *Service) Register(reg *wildout.Registry) {
	wildout.Add(reg, "audit.validate", Validate)
	wildout.Add(reg, "audit.store", s.Store)
	wildout.Add(reg, "audit.log", s.Log)
	wildout.Add(reg, "audit.mark-compliance", s.MarkCompliance)
}
