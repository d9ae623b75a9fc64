package schema

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// wireTime is UTC with a fixed width, so that SQLite, which keeps times as
// text, sorts and compares them right. PostgreSQL keeps microseconds too.
const wireTime = "2006-01-02T15:04:05.000000Z"

// Time is a point in time as a column or an argument: null is the zero time.
type Time struct{ time.Time }

// At wraps t for use as an argument of a statement.
func At(t time.Time) Time { return Time{t} }

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UTC().Format(wireTime), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		t.Time = time.Time{}
	case time.Time:
		t.Time = src.UTC()
	case string:
		return t.parse(src)
	case []byte:
		return t.parse(string(src))
	default:
		return fmt.Errorf("a time was expected, the database gave a %T", src)
	}
	return nil
}

func (t *Time) parse(text string) error {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("the database holds a time that is not RFC 3339: %w", err)
	}
	t.Time = parsed.UTC()
	return nil
}

// Pointer returns the time, or nil for null: for outputs that leave it out.
func (t Time) Pointer() *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t.Time
}
