package intake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

const (
	// maxFaults bounds what is said of one event: nobody mends more at a time,
	// and an event of a megabyte can have a hundred thousand.
	maxFaults = 20
	// maxWords and maxPath bound a message and a path, in characters: both quote
	// what came from outside.
	maxWords, maxPath = 400, 200
)

// collect adds the faults at the ends of a tree of them, without repetitions.
func collect(found *Faults, e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	// What did not match of a choice would only confuse: the choice is the fault.
	case *kind.OneOf, *kind.AnyOf:
		found.once(path(e.InstanceLocation), choice(e))
		return
	case *kind.Required:
		for _, name := range k.Missing {
			found.once(path(append(slices.Clone(e.InstanceLocation), name)), "is missing")
		}
		return
	}
	for _, cause := range e.Causes {
		if len(*found) >= maxFaults {
			return
		}
		collect(found, cause)
	}
	if len(e.Causes) == 0 {
		found.once(path(e.InstanceLocation), words(e.ErrorKind))
	}
}

func (f *Faults) once(path, message string) {
	fault := Fault{path, clipTo(message, maxWords)}
	if len(*f) < maxFaults && !slices.Contains(*f, fault) {
		*f = append(*f, fault)
	}
}

// choice says what the alternatives of oneOf or anyOf ask for.
func choice(e *jsonschema.ValidationError) string {
	if one, ok := e.ErrorKind.(*kind.OneOf); ok && len(one.Subschemas) > 1 {
		return "fits more than one of the alternatives, of which exactly one may apply"
	}
	var wants []string
	for _, cause := range e.Causes {
		var found Faults
		collect(&found, cause)
		for _, fault := range found {
			wants = append(wants, fault.String())
		}
		if len(wants) >= maxFaults {
			break
		}
	}
	return "fits none of the alternatives: " + strings.Join(wants, ", or ")
}

func words(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Format:
		return fmt.Sprintf("%q is no %s", clip(fmt.Sprint(k.Got)), k.Want)
	case *kind.AdditionalProperties: // of which there may be thousands
		k.Properties = k.Properties[:min(len(k.Properties), maxFaults)]
	}
	return "is not valid: " + k.LocalizedString(message.NewPrinter(language.English))
}

// path writes a location as in expressions: data.recipients[3].
func path(location []string) string {
	var b strings.Builder
	b.WriteString("data")
	for _, part := range location {
		if part != "" && strings.Trim(part, "0123456789") == "" {
			b.WriteString("[" + part + "]")
		} else {
			b.WriteString("." + clip(part))
		}
	}
	return clipTo(b.String(), maxPath)
}
