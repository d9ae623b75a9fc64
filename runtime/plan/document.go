package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"cel.dev/cel-go/common/types/ref"
)

// node is a JSON value inside a text that it does not copy. An object or a
// list is split into its members when it is first looked into, so that a path
// such as event.data.userId costs one pass over the text, and a value that is
// only passed on is never decoded.
type node struct {
	raw     []byte
	inside  *members
	decoded ref.Val // cache of value()
	checked bool    // raw is known to be one JSON value
}

// members are what is in an object or a list.
type members struct {
	list  []member
	byKey map[string]int // only for wide objects
}

// member is an element of a list, or a field of an object. The key has no
// quotes and no escapes.
type member struct {
	key   []byte
	value node
}

const (
	// wideObject is the number of fields from which a hash beats a search.
	wideObject = 24
	// bytesPerMember and maxGuess say how much room is made for members before
	// they are counted: about right for events, little for small outputs.
	bytesPerMember, maxGuess = 28, 16
	// maxDepth bounds the nesting of JSON, as encoding/json does: deeper text
	// would exhaust the stack.
	maxDepth = 10000
)

var errTooDeep = errors.New("the JSON is nested too deep")

// newDocument returns the node of a whole text. Whether it is JSON is found
// out when it is opened or verified, which is the same pass.
func newDocument(raw []byte) (node, error) {
	start, end := skipSpace(raw, 0), len(raw)
	for end > start && isSpace(raw[end-1]) {
		end--
	}
	if start == end {
		return node{}, errors.New("there is no JSON value")
	}
	n := node{raw: raw[start:end:end]}
	if n.isContainer() {
		return n, nil
	}
	err := n.verify()
	return n, err
}

// parseDocument is newDocument for text that may be wrong in any place.
func parseDocument(raw []byte) (node, error) {
	n, err := newDocument(raw)
	if err != nil {
		return n, err
	}
	err = n.verify()
	return n, err
}

func (n *node) isContainer() bool { return n.raw[0] == '{' || n.raw[0] == '[' }

// verify checks that the node is one JSON value.
func (n *node) verify() error {
	if n.checked {
		return nil
	}
	end, err := skipValue(n.raw, 0, 0)
	if err != nil {
		return err
	}
	return n.ends(end)
}

func (n *node) ends(end int) error {
	if end != len(n.raw) {
		return syntaxError(n.raw, end)
	}
	n.checked = true
	return nil
}

// open splits an object or a list into its members, and verifies it.
func (n *node) open() (*members, error) {
	if n.inside != nil {
		return n.inside, nil
	}
	b, object := n.raw, n.raw[0] == '{'
	in := &members{list: make([]member, 0, min(maxGuess, 1+len(b)/bytesPerMember))}
	end, err := skipMembers(b, 0, 0, func(keyAt, at, end int) {
		m := member{value: node{raw: b[at:end:end], checked: true}}
		if object {
			m.key = keyText(b, keyAt)
		}
		in.list = append(in.list, m)
	})
	if err != nil {
		return nil, err
	}
	if err := n.ends(end); err != nil {
		return nil, err
	}
	if object {
		in.indexKeys()
	}
	n.inside = in
	return in, nil
}

// indexKeys drops all but the last of the fields with the same key, as
// encoding/json does.
func (in *members) indexKeys() {
	if len(in.list) >= wideObject {
		in.byKey = make(map[string]int, len(in.list))
	}
	all := in.list
	in.list = all[:0]
	for _, m := range all {
		if at, twice := in.place(m.key); twice {
			in.list[at] = m
			continue
		}
		if in.byKey != nil {
			in.byKey[string(m.key)] = len(in.list)
		}
		in.list = append(in.list, m)
	}
}

// place returns where the field with the key is.
func (in *members) place(key []byte) (at int, found bool) {
	if in.byKey != nil {
		at, found = in.byKey[string(key)]
		return at, found
	}
	for i := range in.list {
		if string(in.list[i].key) == string(key) {
			return i, true
		}
	}
	return 0, false
}

// field returns the field of an object, nil when it has none of that name.
func (n *node) field(key string) (*node, error) {
	in, err := n.open()
	if err != nil {
		return nil, err
	}
	if at, found := in.place([]byte(key)); found {
		return &in.list[at].value, nil
	}
	return nil, nil
}

// element returns the element of a list, nil when the list is shorter.
func (n *node) element(index int64) (*node, error) {
	in, err := n.open()
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= int64(len(in.list)) {
		return nil, nil
	}
	return &in.list[index].value, nil
}

// kind is the name of the JSON type of raw, with its article.
func kind(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// text returns the string that a quoted JSON string stands for.
func text(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return string(inner)
	}
	return s
}

// keyText returns the key whose quote stands at i.
func keyText(b []byte, i int) []byte {
	end, special, _ := skipString(b, i)
	if special {
		return []byte(text(b[i:end]))
	}
	return b[i+1 : end-1]
}

func syntaxError(b []byte, at int) error {
	if at >= len(b) {
		return errors.New("the JSON ends too early")
	}
	return fmt.Errorf("the JSON is broken at byte %d, at %q", at+1, b[at:min(at+10, len(b))])
}
