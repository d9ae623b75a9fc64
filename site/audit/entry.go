package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/strictjson"
	"github.com/wildout/wildout/site/schema"
)

// Entry is one entry of the audit log.
type Entry struct {
	// EventID makes the entry unique: the id of an audit/log event, or the
	// idempotency key of the step that wrote it.
	EventID    string `json:"eventId"`
	UserID     string `json:"userId"`
	UserRole   string `json:"userRole,omitempty"`
	Action     string `json:"action"`
	RecordType string `json:"recordType,omitempty"`
	RecordID   string `json:"recordId,omitempty"`
	// Details is a JSON object.
	Details json.RawMessage `json:"details,omitempty"`
	// Time is when it happened, not when it was stored: the order of the log
	// does not depend on retries.
	Time time.Time `json:"time"`
}

// Insert stores the entry in the transaction. An entry that is stored already
// stays as it is: the first one wins.
func Insert(ctx context.Context, tx *schema.Tx, e Entry) error {
	id, err := schema.NewID()
	if err != nil {
		return err
	}
	details := string(e.Details)
	if details == "" {
		details = "{}"
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO audit_log (id, event_id, user_id, user_role, action, record_type, record_id, details, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (event_id) DO NOTHING`,
		id, e.EventID, e.UserID, e.UserRole, e.Action, e.RecordType, e.RecordID, details, schema.At(e.Time))
	if err != nil {
		return fmt.Errorf("insert audit entry %s: %w", e.EventID, err)
	}
	return nil
}

// maxAction is the longest action, in characters, as the event type has it.
const maxAction = 100

// ValidateInput is the input of audit.validate.
type ValidateInput struct {
	EventID string    `json:"eventId"`
	Time    time.Time `json:"time"`
	// Data is the data of the audit/log event; fields that the log has no
	// column for are left out.
	Data json.RawMessage `json:"data"`
}

// Validate turns the data of an audit/log event into an Entry that the
// database takes for certain: an entry that it refused could never be drained
// from the fallback. The errors are not retriable.
func Validate(_ context.Context, in ValidateInput) (Entry, error) {
	var data struct {
		Entry
		IP string `json:"ip"`
	}
	if err := strictjson.Unmarshal(in.Data, &data); err != nil {
		return Entry{}, wildout.NonRetriable(fmt.Errorf("the data of the audit/log event does not fit: %w", err))
	}
	e := data.Entry
	e.EventID, e.Time = in.EventID, in.Time
	details, err := cleanDetails(e.Details, data.IP)
	if err != nil {
		return Entry{}, wildout.NonRetriable(fmt.Errorf("details of the audit/log event: %w", err))
	}
	e.Details = details
	for _, text := range []*string{&e.EventID, &e.UserID, &e.UserRole, &e.Action, &e.RecordType, &e.RecordID} {
		*text = clean(*text)
	}
	return e, wildout.NonRetriable(e.check())
}

func (e Entry) check() error {
	var faults []error
	if e.EventID == "" {
		faults = append(faults, errors.New("eventId is missing: pass ${event.id}"))
	}
	if e.Time.IsZero() {
		faults = append(faults, errors.New("time is missing: pass ${event.time}"))
	}
	if e.UserID == "" {
		faults = append(faults, errors.New("userId is missing"))
	}
	if n := utf8.RuneCountInString(e.Action); n < 1 || n > maxAction {
		faults = append(faults, fmt.Errorf("action has %d characters, it must have 1 to %d", n, maxAction))
	}
	if len(faults) > 0 {
		return fmt.Errorf("the audit entry is not valid: %w", errors.Join(faults...))
	}
	return nil
}

// clean replaces the one character that PostgreSQL's text cannot hold.
func clean(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// cleanDetails returns the details as an object that jsonb can hold, with the
// address that the action came from.
func cleanDetails(raw json.RawMessage, ip string) (json.RawMessage, error) {
	object := map[string]any{}
	if len(raw) > 0 {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&object); err != nil {
			return nil, err
		}
	}
	if object == nil { // details: null
		object = map[string]any{}
	}
	if _, taken := object["ip"]; ip != "" && !taken {
		object["ip"] = ip
	}
	return json.Marshal(cleanValue(object))
}

func cleanValue(v any) any {
	switch v := v.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = cleanValue(v[i])
		}
		return v
	case map[string]any:
		cleaned := make(map[string]any, len(v))
		for key, value := range v {
			cleaned[clean(key)] = cleanValue(value)
		}
		return cleaned
	default:
		return v
	}
}
