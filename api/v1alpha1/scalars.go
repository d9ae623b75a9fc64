package v1alpha1

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Duration is a length of time such as "1m30s", "72h" or "30d": decimal
// numbers with the units d (24 hours), h, m, s and ms, largest unit first.
// It is longer than 0; a field that is left out says "none".
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?d)?([0-9]+([.][0-9]+)?h)?([0-9]+([.][0-9]+)?m)?([0-9]+([.][0-9]+)?s)?([0-9]+([.][0-9]+)?ms)?$') && self.matches('[1-9]')",message="must be a length of time of more than 0, such as 30s, 1m30s, 72h or 30d"
type Duration string

// durationParts is the pattern of the rule above, with one group per unit.
var durationParts = regexp.MustCompile(
	`^(?:([0-9]+(?:\.[0-9]+)?)d)?(?:([0-9]+(?:\.[0-9]+)?)h)?(?:([0-9]+(?:\.[0-9]+)?)m)?(?:([0-9]+(?:\.[0-9]+)?)s)?(?:([0-9]+(?:\.[0-9]+)?)ms)?$`)

var durationUnits = [...]time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second, time.Millisecond}

// maxDuration leaves room for adding two durations, and a time and one.
const maxDuration = math.MaxInt64 / 2

// Parse returns the length of time. The empty string is 0.
// It fails for text of another form, for 0 and for more than about 146 years.
func (d Duration) Parse() (time.Duration, error) {
	if d == "" {
		return 0, nil
	}
	parts := durationParts.FindStringSubmatch(string(d))
	if parts == nil {
		return 0, fmt.Errorf("%q is not a duration: write numbers and units (d, h, m, s, ms), largest unit first, such as 1m30s or 72h", string(d))
	}
	var total float64
	for i, unit := range durationUnits {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(parts[i+1], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: %w", string(d), err)
		}
		total += n * float64(unit)
	}
	switch {
	case total > maxDuration:
		return 0, fmt.Errorf("%q is too long: the limit is about 146 years", string(d))
	case total < 1:
		return 0, fmt.Errorf("%q is no time at all: a duration is longer than 0", string(d))
	}
	return time.Duration(math.Round(total)), nil
}

// JSON is any JSON value, kept as the bytes it was written in.
//
// +kubebuilder:validation:Type=""
// +kubebuilder:pruning:PreserveUnknownFields
type JSON struct {
	Raw json.RawMessage `json:"-"`
}

// MarshalJSON returns the value as it was written; an unset value is null.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j.Raw) == 0 {
		return []byte("null"), nil
	}
	return j.Raw, nil
}

// UnmarshalJSON keeps a copy of the bytes.
func (j *JSON) UnmarshalJSON(b []byte) error {
	j.Raw = append(j.Raw[:0:0], b...)
	return nil
}

// Object is any JSON object, kept as the bytes it was written in.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
type Object struct {
	Raw json.RawMessage `json:"-"`
}

// MarshalJSON returns the object as it was written; an unset one is {}.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o.Raw) == 0 {
		return []byte("{}"), nil
	}
	return o.Raw, nil
}

// UnmarshalJSON keeps a copy of the bytes.
func (o *Object) UnmarshalJSON(b []byte) error {
	o.Raw = append(o.Raw[:0:0], b...)
	return nil
}

// Parse returns what is read: all that is retained (beginning), what was published
// since a time, or with neither what is published from now on.
func (s StartFrom) Parse() (beginning bool, at time.Time, err error) {
	switch s {
	case "", StartNow:
		return false, time.Time{}, nil
	case StartBeginning:
		return true, time.Time{}, nil
	}
	at, err = time.Parse(time.RFC3339, string(s))
	if err != nil {
		return false, time.Time{}, fmt.Errorf("%q is no place to start from: write Now, Beginning, or a time with its zone, such as 2026-12-01T08:00:00Z", string(s))
	}
	return false, at, nil
}

// Since is Parse for what was validated; what is not is Now.
func (s StartFrom) Since() (beginning bool, at time.Time) {
	beginning, at, _ = s.Parse()
	return beginning, at
}
