package plan

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
)

// CompileVersion compiles a version of a function that a run is to be taken
// further by, as it is stored: see CompileStored. A version is the address of its
// content; what has another one was changed by somebody who may write to Redis, and
// is never run.
func CompileVersion(function, version, text string) (*Plan, error) {
	tree, err := readTree([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	// What is compiled is the tree that was looked at: of a field that is there
	// twice, both see the same one.
	canonical, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	is, err := address(tree)
	if err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	if is != version {
		return nil, fmt.Errorf("what Redis has as version %s of %s is not that version: its content makes %s. Somebody changed it, and it is not run: "+
			"see who may write to this Redis; runs of this version wait until the version is stored as it was, or they are cancelled", version, function, is)
	}
	return CompileStored(function, string(canonical))
}

// CompileStored compiles a spec as a version of a function is stored: what Spec
// was when it was compiled, as JSON. It reads those of earlier releases. One of a
// later release that says something which this one does not know is refused: a run
// must not be taken further by who knows half of its function. It believes what is
// stored: for who looks, and not for who runs it.
func CompileStored(function, text string) (*Plan, error) {
	spec, err := readStored([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	return Compile(function, spec, Options{Stored: true})
}

func readStored(text []byte) (*v1alpha1.WildoutFunctionSpec, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	var spec v1alpha1.WildoutFunctionSpec
	runner := fields["runner"] // it is for pods, and says nothing to a run
	delete(fields, "runner")
	delays, err := dropOnLimit(fields)
	if err != nil {
		return nil, err
	}
	known, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(known))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		return nil, err
	}
	if len(runner) > 0 {
		if err := json.Unmarshal(runner, &spec.Runner); err != nil {
			return nil, err
		}
	}
	if limit := spec.RateLimit; limit != nil && delays {
		spec.Throttle = &v1alpha1.Throttle{Limit: limit.Limit, Period: limit.Period, Burst: limit.Burst, Key: limit.Key}
		spec.RateLimit = nil
	}
	return &spec, nil
}

// dropOnLimit takes out the field that earlier builds had, in which one limit was
// both, and reports whether it is a limit that delays: a throttle now. A stored
// spec always said which.
func dropOnLimit(fields map[string]json.RawMessage) (delays bool, err error) {
	var limit map[string]json.RawMessage
	if len(fields["rateLimit"]) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(fields["rateLimit"], &limit); err != nil {
		return false, err
	}
	if word := limit["onLimit"]; len(word) > 0 {
		var onLimit string
		if err := json.Unmarshal(word, &onLimit); err != nil {
			return false, fmt.Errorf("rateLimit.onLimit: %w", err)
		}
		delays = onLimit == "Delay"
	}
	delete(limit, "onLimit")
	fields["rateLimit"], err = json.Marshal(limit)
	return delays, err
}
