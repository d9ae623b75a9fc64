package security

import (
	"encoding/json"
	"testing"

	"github.com/wildout/wildout/site/audit"
)

func TestCountOf(t *testing.T) {
	for details, want := range map[string]float64{
		`{"count":7,"other":1}`:  7,
		`{"COUNT":7}`:            0, // letter case counts
		`{"count":7,"Count":0}`:  7,
		`{"count":7,"count":0}`:  0, // nobody can say which
		`{"count":"7"}`:          0,
		`{}`:                     0,
		`[]`:                     0,
		`{"details":{"count":7}`: 0,
	} {
		if got := countOf(audit.Entry{Details: json.RawMessage(details)}); got != want {
			t.Errorf("%s: %g, want %g", details, got, want)
		}
	}
}
