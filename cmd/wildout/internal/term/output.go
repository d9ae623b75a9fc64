package term

import (
	"fmt"
	"io"
	"strings"

	"github.com/wildout/wildout/runtime/strictjson"
)

// Format is how a command prints.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
	YAML Format = "yaml"
	Name Format = "name"
)

// Formats are all formats, for help and completion.
var Formats = []string{string(Text), string(JSON), string(YAML), string(Name)}

// String, Set and Type make a Format the value of a flag.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return strings.Join(Formats, "|") }

// Set implements pflag.Value.
func (f *Format) Set(text string) error {
	for _, known := range Formats {
		if text == known {
			*f = Format(text)
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(Formats, ", "))
}

// Machine says whether a program reads what is printed.
func (f Format) Machine() bool { return f == JSON || f == YAML }

// Print writes a value as one document of JSON or YAML.
func (f Format) Print(w io.Writer, value any) error {
	text, err := strictjson.Show(value, "  ")
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if f == YAML {
		if text, err = toYAML(text); err != nil {
			return fmt.Errorf("print YAML: %w", err)
		}
		_, err = w.Write(text)
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// PrintNext writes one of several values that come one after the other: a line
// of JSON, or a document of YAML.
func (f Format) PrintNext(w io.Writer, value any) error {
	if f == YAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return f.Print(w, value)
	}
	text, err := strictjson.Show(value, "")
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
