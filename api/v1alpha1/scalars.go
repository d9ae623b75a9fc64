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
// numbers with the units ms, s, m, h and d (24 hours), largest unit first.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`
type Duration string

var durationPart = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
var durationWhole = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`)

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// Parse returns the length of time. The empty string is 0.
// It fails for text of another form and for more than about 290 years.
func (d Duration) Parse() (time.Duration, error) {
	if d == "" {
		return 0, nil
	}
	if !durationWhole.MatchString(string(d)) {
		return 0, fmt.Errorf("%q is not a duration: write a number and a unit (ms, s, m, h, d), such as 1m30s or 72h", string(d))
	}
	var total float64
	for _, part := range durationPart.FindAllStringSubmatch(string(d), -1) {
		n, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: %w", string(d), err)
		}
		total += n * float64(durationUnits[part[2]])
	}
	if total > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is too long: the limit is about 146 years", string(d))
	}
	return time.Duration(total), nil
}

// JSON is any JSON value, kept as the bytes it was written in.
//
// +kubebuilder:validation:Schemaless
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
