package crashtest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// ServerError is an error that Redis answered with.
type ServerError string

func (e ServerError) Error() string { return string(e) }

// push is a message of the server that answers no command.
type push []any

// wire reads the values of RESP 2 and 3, the protocol of Redis, and keeps the
// bytes of each as they came.
type wire struct {
	in  *bufio.Reader
	raw []byte
}

func newWire(r io.Reader) *wire { return &wire{in: bufio.NewReaderSize(r, 64<<10)} }

// next reads one value and returns it with its bytes. A value is a string, an
// int64, nil, a ServerError, a []any (of a map: keys and values in turn) or a push.
func (w *wire) next() (value any, raw []byte, err error) {
	w.raw = nil
	value, err = w.value()
	return value, w.raw, err
}

func (w *wire) line() (string, error) {
	line, err := w.in.ReadBytes('\n')
	w.raw = append(w.raw, line...)
	if err != nil {
		return "", err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return "", fmt.Errorf("no RESP: line %q", line)
	}
	return string(line[:len(line)-2]), nil
}

func (w *wire) value() (any, error) {
	line, err := w.line()
	if err != nil {
		return nil, err
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ',', '#', '(':
		return rest, nil
	case '-':
		return ServerError(rest), nil
	case '_':
		return nil, nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("no RESP: line %q", line)
	}
	switch kind {
	case ':':
		return n, nil
	case '$', '=', '!':
		return w.bulk(kind, n)
	case '*', '~':
		return w.array(n)
	case '>':
		all, err := w.array(n)
		list, _ := all.([]any)
		return push(list), err
	case '%':
		return w.array(2 * n)
	case '|': // attributes, which come before the value
		if _, err := w.array(2 * n); err != nil {
			return nil, err
		}
		return w.value()
	}
	return nil, fmt.Errorf("no RESP: line %q", line)
}

func (w *wire) bulk(kind byte, n int64) (any, error) {
	if n < 0 {
		return nil, nil
	}
	from := len(w.raw)
	w.raw = append(w.raw, make([]byte, n+2)...)
	if _, err := io.ReadFull(w.in, w.raw[from:]); err != nil {
		return nil, err
	}
	text := string(w.raw[from : from+int(n)])
	if kind == '!' {
		return ServerError(text), nil
	}
	return text, nil
}

func (w *wire) array(n int64) (any, error) {
	if n < 0 {
		return nil, nil
	}
	all := make([]any, 0, n)
	for range n {
		v, err := w.value()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// appendCommand appends the wire form of a command.
func appendCommand(b []byte, args []any) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, arg := range args {
		text := fmt.Sprint(arg)
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(text), text)
	}
	return b
}
