package plan

import (
	"encoding/json"
	"fmt"
)

// Request is what the mapping of a webhook sees of an HTTP request. It is for
// one goroutine at a time, and is not changed once an expression has read it.
type Request struct {
	// Webhook is `name`: what the webhook is called.
	Webhook string
	// Body is `body`, a JSON value.
	Body json.RawMessage
	// Headers is `headers`; the names are in lower case.
	Headers map[string]string
	// Query is `query`: the parameters behind the ? of the URL.
	Query map[string]string

	documents map[string]*node // by variable
}

// document is the variable of that name; null where there is no request.
func (r *Request) document(name string) (*node, error) {
	if r == nil {
		return &node{raw: []byte("null")}, nil
	}
	if doc := r.documents[name]; doc != nil {
		return doc, nil
	}
	raw, err := r.encode(name)
	if err != nil {
		return nil, err
	}
	doc, err := newDocument(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.documents == nil {
		r.documents = make(map[string]*node, 4)
	}
	r.documents[name] = &doc
	return &doc, nil
}

func (r *Request) encode(name string) ([]byte, error) {
	switch name {
	case varBody:
		return r.Body, nil
	case varHeaders:
		return encodeTexts(r.Headers)
	case varQuery:
		return encodeTexts(r.Query)
	}
	return appendString(nil, r.Webhook), nil
}

func encodeTexts(texts map[string]string) ([]byte, error) {
	if texts == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(texts)
}
