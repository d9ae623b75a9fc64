package plan

import (
	"bytes"
	"errors"
	"fmt"

	"cel.dev/cel-go/common/types/ref"

	"github.com/wildout/wildout/runtime/strictjson"
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
)

// newDocument returns the node of a whole text. Whether it is JSON is found
// out when it is opened or verified, which is the same pass.
func newDocument(raw []byte) (node, error) {
	raw = bytes.Trim(raw, " \t\r\n")
	if len(raw) == 0 {
		return node{}, errors.New("there is no JSON value")
	}
	n := node{raw: raw[:len(raw):len(raw)]}
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
	if err := strictjson.Verify(n.raw); err != nil {
		return broken(err)
	}
	n.checked = true
	return nil
}

// open splits an object or a list into its members, and verifies it.
func (n *node) open() (*members, error) {
	if n.inside != nil {
		return n.inside, nil
	}
	in := &members{list: make([]member, 0, min(maxGuess, 1+len(n.raw)/bytesPerMember))}
	err := strictjson.Members(n.raw, func(key, value []byte) error {
		in.list = append(in.list, member{key: key, value: node{raw: value, checked: true}})
		return nil
	})
	if err != nil {
		return nil, broken(err)
	}
	n.checked = true
	if n.raw[0] == '{' && len(in.list) >= wideObject {
		in.byKey = make(map[string]int, len(in.list))
		for i := range in.list {
			in.byKey[string(in.list[i].key)] = i
		}
	}
	n.inside = in
	return in, nil
}

// broken says of what there is something wrong.
func broken(err error) error { return fmt.Errorf("the JSON cannot be read: %w", err) }

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
func kind(raw []byte) string { return strictjson.KindOf(raw) }

// text returns the string that a quoted JSON string stands for.
func text(quoted []byte) string { return strictjson.Text(quoted) }
