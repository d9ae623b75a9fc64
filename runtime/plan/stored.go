package plan

import (
	"encoding/json"
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
)

// CompileStored compiles a spec as a version of a function is stored: what Spec
// was when it was compiled, as JSON. It reads those of earlier releases.
func CompileStored(function, text string) (*Plan, error) {
	var spec v1alpha1.WildoutFunctionSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	if err := delayed([]byte(text), &spec); err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	return Compile(function, &spec, Options{Stored: true})
}

// delayed makes a throttle of a rate limit that delays: in earlier builds one
// field was both, and a stored spec always said which.
func delayed(text []byte, spec *v1alpha1.WildoutFunctionSpec) error {
	var old struct {
		RateLimit struct {
			OnLimit string `json:"onLimit"`
		} `json:"rateLimit"`
	}
	if err := json.Unmarshal(text, &old); err != nil {
		return err
	}
	if limit := spec.RateLimit; limit != nil && old.RateLimit.OnLimit == "Delay" {
		spec.Throttle = &v1alpha1.Throttle{Limit: limit.Limit, Period: limit.Period, Burst: limit.Burst, Key: limit.Key}
		spec.RateLimit = nil
	}
	return nil
}
