// Package manifest finds the manifests of functions and event types on disk,
// reads them and compiles them. It reports every fault with its file, and
// beside the faults returns what is sound. It must not know what is done with
// the result.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/plan"
)

// Function is a function that can run.
type Function struct {
	Plan   *plan.Plan
	Source string // the file
}

// EventType is an event type that can be used.
type EventType struct {
	Name        string
	Description string
	Schema      json.RawMessage // nil: any object
	// Period and MaxBytes are how long events are kept; MaxBytes 0: no limit.
	Period   time.Duration
	MaxBytes int64
	Source   string
}

// Fault is what is wrong with a file.
type Fault struct {
	Source string
	Err    error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// Set is what was found.
type Set struct {
	Functions  []Function
	EventTypes []EventType
	Faults     []*Fault
	// Doubts are about what may be right, such as a name that only the cluster may
	// know.
	Doubts []*Fault
}

// Err joins the faults; nil when there is none.
func (s *Set) Err() error {
	errs := make([]error, len(s.Faults))
	for i, f := range s.Faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// DefaultPaths are the folders of this repository when they are there, else
// the current folder.
func DefaultPaths() []string {
	var found []string
	for _, dir := range []string{"config/event-types", "config/functions"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			found = append(found, dir)
		}
	}
	if len(found) == 0 {
		return []string{"."}
	}
	return found
}

// Load reads files, and of folders the files with manifests of ours; it does
// not go into folders below. knownHandler may be nil. The error is about the
// paths; what is wrong with a file is in Faults.
func Load(paths []string, knownHandler func(name string) bool) (*Set, error) {
	files, err := find(paths)
	if err != nil {
		return nil, err
	}
	l := loader{known: knownHandler, functions: map[string]string{}, types: map[string]string{}}
	for _, file := range files {
		l.read(file)
	}
	l.doubt()
	return &l.set, nil
}

type loader struct {
	known            func(string) bool
	set              Set
	functions, types map[string]string // name to file
}

// doubt looks for functions that are invoked and not among those that were read.
func (l *loader) doubt() {
	for _, f := range l.set.Functions {
		for _, name := range f.Plan.Spec.Invokes() {
			if _, here := l.functions[name]; !here {
				l.set.Doubts = append(l.set.Doubts, &Fault{f.Source, fmt.Errorf(
					"%s: function %s invokes %s, which is not among these manifests: where the namespace does not have it either, the step waits until it does (NoSuchFunction)", f.Source, f.Plan.Function, name)})
			}
		}
	}
}

func find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("no manifests: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("no manifests: %w", err)
		}
		for _, entry := range entries {
			if file := filepath.Join(path, entry.Name()); !entry.IsDir() && IsManifest(file) && isOurs(file) {
				files = append(files, file)
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// IsManifest reports whether the name is that of a YAML or JSON file.
func IsManifest(file string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file))
}

var ourVersion = regexp.MustCompile(`(?m)^\s*"?apiVersion"?\s*:\s*["']?wildout\.dev/`)

// isOurs keeps the other YAML files of a folder out. One that cannot be read is
// ours until we know better: the fault is reported.
func isOurs(file string) bool {
	text, err := os.ReadFile(file)
	return err != nil || ourVersion.Match(text)
}

func (l *loader) fail(source string, err error) {
	l.set.Faults = append(l.set.Faults, &Fault{source, err})
}

func (l *loader) read(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		l.fail(file, err)
		return
	}
	functions, types, err := plan.ReadManifests(file, text)
	if err != nil {
		l.fail(file, err)
	}
	for i := range functions {
		l.function(file, &functions[i])
	}
	for i := range types {
		l.eventType(file, &types[i])
	}
}

func (l *loader) function(file string, f *v1alpha1.WildoutFunction) {
	if other, taken := l.functions[f.Name]; taken {
		l.fail(file, fmt.Errorf("%s: there is a function %s in %s too", file, f.Name, other))
		return
	}
	l.functions[f.Name] = file
	p, err := plan.Compile(f.Name, &f.Spec, plan.Options{KnownHandler: l.known})
	if err != nil {
		var faults plan.Errors
		if !errors.As(err, &faults) {
			l.fail(file, fmt.Errorf("%s: %w", file, err))
		}
		for _, fault := range faults {
			l.fail(file, fmt.Errorf("%s: function %s: %w", file, f.Name, fault))
		}
		return
	}
	l.set.Functions = append(l.set.Functions, Function{p, file})
}

func (l *loader) eventType(file string, t *v1alpha1.WildoutEventType) {
	name := string(t.Spec.Type)
	if other, taken := l.types[name]; taken {
		l.fail(file, fmt.Errorf("%s: there is an event type %s in %s too", file, name, other))
		return
	}
	l.types[name] = file
	found := EventType{Name: name, Description: t.Spec.Description, Source: file}
	var err error
	if t.Spec.Schema != nil {
		found.Schema = t.Spec.Schema.Raw
		if _, err = intake.CompileSchema(found.Schema); err != nil {
			l.fail(file, fmt.Errorf("%s: spec.schema: %w", file, err))
			return
		}
	}
	if found.Period, err = t.Spec.Retention.Period.Parse(); err == nil && t.Spec.Retention.MaxBytes != "" {
		var size resource.Quantity
		size, err = resource.ParseQuantity(t.Spec.Retention.MaxBytes)
		found.MaxBytes = size.Value()
	}
	if err != nil {
		l.fail(file, fmt.Errorf("%s: spec.retention: %w", file, err))
		return
	}
	l.set.EventTypes = append(l.set.EventTypes, found)
}
