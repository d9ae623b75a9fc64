package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/wildout/wildout/api/v1alpha1"
)

// withDefaults returns a copy of spec with the defaults of the custom
// resource's schema, which an API server has filled in already.
func withDefaults(spec *v1alpha1.WildoutFunctionSpec) *v1alpha1.WildoutFunctionSpec {
	spec = spec.DeepCopy()
	if r := spec.RateLimit; r != nil {
		setDefault(&r.Burst, 1)
	}
	if t := spec.Throttle; t != nil {
		setDefault(&t.Burst, 1)
		setDefault(&t.Window, v1alpha1.WindowEven)
	}
	if spec.Idempotency != nil {
		setDefault(&spec.Idempotency.TTL, "24h")
	}
	setDefault(&spec.StartFrom, v1alpha1.StartNow)
	setDefault(&spec.Versioning, v1alpha1.VersioningPinned)
	setDefault(&spec.DeletionPolicy, v1alpha1.DeletionDelete)
	if spec.History == nil {
		spec.History = &v1alpha1.History{}
	}
	if spec.History.Limit == nil {
		limit := int32(1000)
		spec.History.Limit = &limit
	}
	retryDefaults(spec.RetryPolicy)
	for _, steps := range [][]v1alpha1.Step{spec.Steps, spec.OnFailure} {
		for i := range steps {
			retryDefaults(steps[i].RetryPolicy)
			setDefault(&steps[i].OnError, v1alpha1.OnErrorFail)
		}
	}
	return spec
}

func retryDefaults(p *v1alpha1.RetryPolicy) {
	if p == nil {
		return
	}
	setDefault(&p.MaxAttempts, 4)
	setDefault(&p.InitialInterval, "1s")
	setDefault(&p.Multiplier, "2")
	setDefault(&p.MaxInterval, "10m")
	setDefault(&p.Jitter, "0.2")
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// hashLength is the number of hexadecimal digits of a version: 64 bits, enough
// to tell the versions of one function apart.
const hashLength = 16

// hash is the content address of a spec. It leaves out what does not change
// what a run does, and does not depend on the order of keys.
func hash(spec *v1alpha1.WildoutFunctionSpec) (string, error) {
	encoded, err := json.Marshal(spec)
	if err != nil {
		return "", fmt.Errorf("hash the spec: %w", err)
	}
	tree, err := readTree(encoded)
	if err != nil {
		return "", fmt.Errorf("hash the spec: %w", err)
	}
	return address(tree)
}

// readTree reads a spec, with its numbers as they are written.
func readTree(text []byte) (map[string]any, error) {
	var tree map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	return tree, nil
}

// address is the hash of a spec as it is written, and so also of one of another
// release.
func address(tree map[string]any) (string, error) {
	content := maps.Clone(tree)
	// A version is what a run does: neither how, where and since when there are any.
	for _, field := range []string{"description", "suspend", "history", "redis", "runner", "deletionPolicy", "startFrom"} {
		delete(content, field)
	}
	canonical, err := json.Marshal(content) // sorts the keys
	if err != nil {
		return "", fmt.Errorf("hash the spec: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])[:hashLength], nil
}
