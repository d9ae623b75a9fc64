package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// fallbackTime is what the fallback gets of an attempt's time.
const fallbackTime = 3 * time.Second

// StoreInput is the input of audit.store.
type StoreInput struct {
	Entry Entry `json:"entry"`
	// FallbackFrom is the attempt from which on a failure is also written to
	// the fallback; 0 means never.
	FallbackFrom int `json:"fallbackFrom"`
	// MaxAttempts is the step's number of attempts: after the last one an
	// entry that the fallback holds counts as stored.
	MaxAttempts int `json:"maxAttempts"`
}

// The places where an entry may be stored.
const (
	StoredInDatabase = "database"
	StoredInFallback = "fallback"
)

// StoreOutput is the output of audit.store.
type StoreOutput struct {
	Stored string `json:"stored"`
}

// Store puts the entry into the audit log. While the database does not answer
// it fails, to be retried, and from attempt FallbackFrom on also keeps the
// entry outside the database, from where it is drained later.
func (s *Service) Store(ctx context.Context, in StoreInput) (StoreOutput, error) {
	err := s.insert(ctx, in.Entry)
	if err == nil {
		if s.pending.Load() {
			s.drainAndLog(ctx)
		}
		return StoreOutput{StoredInDatabase}, nil
	}
	attempt := wildout.Info(ctx).Attempt
	last := attempt >= in.MaxAttempts || wildout.IsNonRetriable(err)
	if in.FallbackFrom == 0 || (attempt < in.FallbackFrom && !last) {
		return StoreOutput{}, err
	}
	if saveErr := s.save(ctx, in.Entry, err); saveErr != nil {
		return StoreOutput{}, errors.Join(err, saveErr)
	}
	if last {
		return StoreOutput{StoredInFallback}, nil
	}
	return StoreOutput{}, err
}

// insert leaves the fallback some of the attempt's time: a database that hangs
// must not take all of it.
func (s *Service) insert(ctx context.Context, e Entry) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) > 2*fallbackTime {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-fallbackTime))
		defer cancel()
	}
	return s.DB.Do(ctx, "store the audit entry", func(tx *schema.Tx) error { return Insert(ctx, tx, e) })
}

// save keeps the entry outside the database: on stderr and in the fallback.
func (s *Service) save(ctx context.Context, e Entry, cause error) error {
	entry, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode audit entry %s: %w", e.EventID, err)
	}
	s.print("the database did not take an audit entry; it is kept in the fallback", entry, cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fallbackTime)
	defer cancel()
	if err := s.Fallback.Append(ctx, e.EventID, entry); err != nil {
		return fmt.Errorf("the fallback did not take audit entry %s either, it is only on stderr: %w", e.EventID, err)
	}
	s.pending.Store(true)
	return nil
}

// print writes one JSON line. A failure to write to stderr has nowhere to go.
func (s *Service) print(message string, entry []byte, cause error) {
	line, err := json.Marshal(map[string]any{
		"level": "ERROR", "msg": message, "error": cause.Error(), "auditEntry": json.RawMessage(entry),
	})
	if err != nil { // entry is not JSON: keep its bytes as text
		line, _ = json.Marshal(map[string]any{"level": "ERROR", "msg": message, "error": cause.Error(), "auditEntryText": string(entry)})
	}
	s.stderr.Lock()
	defer s.stderr.Unlock()
	_, _ = s.Stderr.Write(append(line, '\n'))
}

// LogInput is the input of audit.log.
type LogInput struct {
	Action     string          `json:"action"`
	UserID     string          `json:"userId"`
	UserRole   string          `json:"userRole"`
	RecordType string          `json:"recordType"`
	RecordID   string          `json:"recordId"`
	Details    json.RawMessage `json:"details"`
	// Time is when it happened; left out: now.
	Time time.Time `json:"time"`
	// Key makes the entry one over several functions that may write it; left
	// out, the entry is one per step.
	Key string `json:"key"`
}

// LogOutput is the output of audit.log.
type LogOutput struct {
	EventID string `json:"eventId"`
}

// Log stores an entry about something that a run did.
func (s *Service) Log(ctx context.Context, in LogInput) (LogOutput, error) {
	details, err := cleanDetails(in.Details, "")
	if err != nil {
		return LogOutput{}, wildout.NonRetriable(fmt.Errorf("details: %w", err))
	}
	e := Entry{
		EventID: clean(in.Key), UserID: clean(in.UserID), UserRole: clean(in.UserRole), Action: clean(in.Action),
		RecordType: clean(in.RecordType), RecordID: clean(in.RecordID), Details: details, Time: in.Time,
	}
	if e.EventID == "" {
		e.EventID = wildout.Info(ctx).IdempotencyKey
	}
	err = s.DB.Do(ctx, "write "+e.Action+" to the audit log", func(tx *schema.Tx) error {
		if e.Time.IsZero() {
			if e.Time, err = tx.Now(ctx); err != nil {
				return err
			}
		}
		if err := e.check(); err != nil {
			return wildout.NonRetriable(err)
		}
		return Insert(ctx, tx, e)
	})
	return LogOutput{e.EventID}, err
}

// MarkInput is the input of audit.mark-compliance.
type MarkInput struct {
	Entry Entry `json:"entry"`
	// Actions are the actions that somebody must review.
	Actions []string `json:"actions"`
}

// MarkOutput is the output of audit.mark-compliance.
type MarkOutput struct {
	Compliance bool `json:"compliance"`
}

// MarkCompliance marks the entry's row for review if its action is one of
// Actions. It stores the entry first if it is not in the log yet.
func (s *Service) MarkCompliance(ctx context.Context, in MarkInput) (MarkOutput, error) {
	for _, action := range in.Actions {
		if action == in.Entry.Action {
			return MarkOutput{true}, s.mark(ctx, in.Entry)
		}
	}
	return MarkOutput{}, nil
}

func (s *Service) mark(ctx context.Context, e Entry) error {
	return s.DB.Do(ctx, "mark the audit entry for review", func(tx *schema.Tx) error {
		if err := Insert(ctx, tx, e); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE audit_log SET compliance = true WHERE event_id = $1", e.EventID)
		return err
	})
}
