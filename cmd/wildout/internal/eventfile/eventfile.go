// Package eventfile reads files of JSON values one after the other: one value,
// an array, or NDJSON (a value per line). It holds one value at a time, however
// long the file is, and must not know what the values are for.
package eventfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxValue bounds one value, in bytes: an event's data may have a megabyte, and
// the rest of an event is small.
const MaxValue = 1<<20 + 64<<10

// Reader reads values.
type Reader struct {
	in    *lines
	dec   *json.Decoder
	array bool
	begun bool
	ended bool
	n     int
}

// NewReader returns a Reader of a file.
func NewReader(r io.Reader) *Reader {
	in := &lines{r: r}
	return &Reader{in: in, dec: json.NewDecoder(in)}
}

// Error is a fault of the file.
type Error struct {
	// Value counts the values from 1, Line the lines: where the value begins.
	Value, Line int
	Err         error
}

func (e *Error) Error() string { return fmt.Sprintf("line %d (value %d): %v", e.Line, e.Value, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Array says whether the file is an array. It is known after the first Next.
func (r *Reader) Array() bool { return r.array }

// Offset returns how many bytes the values so far take.
func (r *Reader) Offset() int64 { return r.dec.InputOffset() }

// Next returns the next value, compact; io.EOF after the last one. Other errors
// are an *Error, or of the file that is read.
func (r *Reader) Next() (json.RawMessage, error) {
	if r.ended {
		return nil, io.EOF
	}
	value, err := r.next()
	switch {
	case err == nil:
		r.n++
		return value, nil
	case r.in.err != nil && !errors.Is(r.in.err, io.EOF):
		r.ended = true
		return nil, r.in.err
	case errors.Is(err, io.EOF):
		r.ended = true
		return nil, io.EOF
	}
	r.ended = true
	return nil, &Error{Value: r.n + 1, Line: r.line(), Err: err}
}

// line returns the line on which the next value begins.
func (r *Reader) line() int {
	line := r.in.lineAt(r.dec.InputOffset())
	rest, _ := io.ReadAll(r.dec.Buffered()) // it is in memory
	for _, c := range rest {
		switch c {
		case '\n':
			line++
		case ' ', '\t', '\r', ',':
		default:
			return line
		}
	}
	return line
}

func (r *Reader) next() (json.RawMessage, error) {
	if !r.begun {
		r.begun = true
		first, err := r.in.first()
		if err != nil {
			return nil, err
		}
		if first == '[' {
			if _, err := r.dec.Token(); err != nil {
				return nil, err
			}
			r.array = true
		}
	}
	r.in.room = MaxValue
	r.in.forget(r.dec.InputOffset())
	if r.array && !r.dec.More() {
		return nil, r.close()
	}
	var value json.RawMessage
	if err := r.dec.Decode(&value); r.array && errors.Is(err, io.EOF) {
		return nil, errCutOff
	} else if err != nil {
		return nil, unexpected(err, r.in.full)
	}
	if len(value) > MaxValue {
		return nil, errTooLarge
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

var (
	errTooLarge = fmt.Errorf("the value is larger than %d bytes", MaxValue)
	errCutOff   = errors.New("the file ends inside the array")
)

// unexpected says what the end of the input inside a value means.
func unexpected(err error, full bool) error {
	switch {
	case full:
		return errTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends inside the value")
	}
	return err
}

// close reads the end of an array, behind which nothing may come.
func (r *Reader) close() error {
	if _, err := r.dec.Token(); errors.Is(err, io.EOF) {
		return errCutOff
	} else if err != nil {
		return unexpected(err, r.in.full)
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the array")
	}
	return io.EOF
}

// lines passes a file on, and knows on which line a place in it is.
type lines struct {
	r     io.Reader
	head  []byte  // read by first, not passed on yet
	read  int64   // passed on
	room  int64   // how much more may be passed on
	full  bool    // there was no room
	ends  []int64 // where lines end
	above int     // lines that end before those
	err   error
}

// first returns the first byte that is no white space, without taking it.
func (l *lines) first() (byte, error) {
	buf := make([]byte, 1)
	for {
		n, err := l.r.Read(buf)
		if n == 1 {
			l.head = append(l.head, buf[0])
			if !bytes.ContainsAny(buf, " \t\r\n") {
				l.room = MaxValue
				return buf[0], nil
			}
			if len(l.head) > MaxValue {
				return 0, errTooLarge
			}
		}
		if err != nil {
			l.err = err
			return 0, err
		}
	}
}

// Read implements io.Reader. The decoder reads on only when it has no whole
// value, so that the room bounds what it may collect.
func (l *lines) Read(p []byte) (n int, err error) {
	if l.room <= 0 {
		l.full = true
		return 0, io.ErrUnexpectedEOF
	}
	p = p[:min(int64(len(p)), l.room)]
	if len(l.head) > 0 {
		n = copy(p, l.head)
		l.head = l.head[n:]
	} else {
		n, err = l.r.Read(p)
	}
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	l.room -= int64(n)
	if err != nil {
		l.err = err
	}
	return n, err
}

// forget drops the lines before a place.
func (l *lines) forget(offset int64) {
	i := 0
	for i < len(l.ends) && l.ends[i] < offset {
		i++
	}
	l.above += i
	l.ends = l.ends[i:]
}

// lineAt returns the line of a place, counted from 1.
func (l *lines) lineAt(offset int64) int {
	line := l.above + 1
	for _, end := range l.ends {
		if end < offset {
			line++
		}
	}
	return line
}
