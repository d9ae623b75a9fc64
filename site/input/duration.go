// Package input holds the value types that the inputs of several of the
// domain's handlers share. It must not know any handler.
package input

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Duration is a length of time, in JSON the text that manifests use for it:
// numbers with the units ms, s, m, h and d (24 hours), such as "15m" or "90d".
type Duration time.Duration

var (
	wholeDuration = regexp.MustCompile(`^(?:[0-9]+(?:ms|s|m|h|d))+$`)
	durationPart  = regexp.MustCompile(`([0-9]+)(ms|s|m|h|d)`)
)

var units = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// UnmarshalJSON reads the text form; null leaves d as it is.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("a duration is text such as \"15m\": %w", err)
	}
	if !wholeDuration.MatchString(text) {
		return fmt.Errorf("%q is not a duration: write whole numbers with a unit (ms, s, m, h, d), such as 15m or 90d", text)
	}
	var total time.Duration
	for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseInt(part[1], 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a duration: %w", text, err)
		}
		total += time.Duration(n) * units[part[2]]
	}
	*d = Duration(total)
	return nil
}

// MarshalJSON writes the text form that UnmarshalJSON reads.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(strconv.FormatInt(time.Duration(d).Milliseconds(), 10) + "ms")
}

// Std returns the time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }
