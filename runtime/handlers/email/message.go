package email

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Message is the input of email.send. It needs a recipient, a subject and a
// body; subject and body come from Template or are given. A subject given wins
// over the template's.
type Message struct {
	To  Addresses `json:"to"`
	Cc  Addresses `json:"cc,omitempty"`
	Bcc Addresses `json:"bcc,omitempty"`
	// ReplyTo and From are each one address, as "address" or "Name <address>".
	// From defaults to Options.From.
	ReplyTo string `json:"replyTo,omitempty"`
	From    string `json:"from,omitempty"`

	Subject string `json:"subject,omitempty"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`

	// Template is the name of a pair of files: <name>.txt, which defines the
	// template "subject" and has the text, and <name>.html. Vars is the dot of
	// both; a variable that is not in it is an error.
	Template string `json:"template,omitempty"`
	Vars     Vars   `json:"vars,omitempty"`
}

// Result is the output of email.send.
type Result struct {
	// MessageID is without angle brackets, and the same on every attempt.
	MessageID string `json:"messageId"`
	// Accepted has the address of every recipient, Cc and Bcc included.
	Accepted []string `json:"accepted"`
}

// Addresses are mail addresses: in JSON one string, or a list of them.
type Addresses []string

// UnmarshalJSON takes a string, a list of strings, or null.
func (a *Addresses) UnmarshalJSON(b []byte) error {
	var one string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*a = Addresses{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("want a mail address or a list of them: %w", err)
	}
	*a = list
	return nil
}

// Vars are the variables of a template. From JSON, a whole number becomes an
// int64, so that a template prints 1000000 and not 1e+06.
type Vars map[string]any

// UnmarshalJSON takes an object or null.
func (v *Vars) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var raw map[string]any
	if err := dec.Decode(&raw); err != nil {
		return fmt.Errorf("vars: want an object: %w", err)
	}
	for key, value := range raw {
		raw[key] = plainNumbers(value)
	}
	*v = raw
	return nil
}

func plainNumbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if n, err := value.Int64(); err == nil {
			return n
		}
		f, _ := value.Float64() // out of range is infinite, which prints as such
		return f
	case map[string]any:
		for key, v := range value {
			value[key] = plainNumbers(v)
		}
	case []any:
		for i, v := range value {
			value[i] = plainNumbers(v)
		}
	}
	return value
}
