package guard

import (
	"bytes"
	"strconv"
)

// The bounds of an answer that no server has a reason to exceed.
const (
	// maxLine is the longest line, in bytes: a text that is not announced with
	// its length, such as an error.
	maxLine = 16 << 10
	// maxDepth is how deep arrays may be within each other: who reads them calls
	// itself for each.
	maxDepth = 16
	// elementCost is what an element of an array costs in memory, in bytes, beside
	// what it holds.
	elementCost = 64
)

// meter reads what a server sends as RESP, versions 2 and 3, as far as to know
// what it costs to keep it: what is announced counts before it is there, as who
// reads it makes room for it then.
//
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type meter struct {
	// spent is what was read since it was set to 0, in bytes of memory.
	spent int64
	// line is the beginning of a line whose end has not come yet.
	line []byte
	// skip is how many bytes of a text, and of the line break after it, are
	// still to come.
	skip int64
	// open are the arrays that are not complete: how many elements each still
	// lacks.
	open []int64
}

// read takes what has come. An error means that it can be no answer of a Redis,
// or none that anybody should keep.
func (m *meter) read(p []byte) error {
	for len(p) > 0 {
		if m.skip > 0 {
			n := min(m.skip, int64(len(p)))
			p = p[n:]
			if m.skip -= n; m.skip == 0 {
				m.complete()
			}
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			m.line = append(m.line, p...)
			return m.checkLine()
		}
		m.line = append(m.line, p[:end]...)
		p = p[end+1:]
		if err := m.endLine(); err != nil {
			return err
		}
	}
	return nil
}

// checkLine looks at a line that has not ended: the first byte says already
// whether it is of a Redis.
func (m *meter) checkLine() error {
	if len(m.line) > maxLine {
		return ErrTooMuch
	}
	if !isKind(m.line[0]) {
		return ErrNotRedis
	}
	return nil
}

func isKind(b byte) bool { return bytes.IndexByte([]byte("+-:_#,($!=*~>%|"), b) >= 0 }

// endLine looks at a whole line, without its line break.
func (m *meter) endLine() error {
	line := bytes.TrimSuffix(m.line, []byte("\r"))
	m.line = m.line[:0]
	if len(line) == 0 {
		return ErrNotRedis
	}
	if len(line) > maxLine {
		return ErrTooMuch
	}
	m.spent += int64(len(line)) + elementCost
	switch kind := line[0]; kind {
	case '+', '-', ':', '_', '#', ',', '(':
		m.complete()
		return nil
	case '$', '!', '=':
		return m.announceText(line[1:])
	case '*', '~', '>':
		return m.announceElements(line[1:], 1, 0)
	case '%':
		return m.announceElements(line[1:], 2, 0)
	case '|': // attributes stand before an element: with it they are one
		return m.announceElements(line[1:], 2, 1)
	}
	return ErrNotRedis
}

// announceText is a text of so many bytes.
func (m *meter) announceText(length []byte) error {
	n, err := strconv.ParseInt(string(length), 10, 64)
	switch {
	case err != nil || n < -1:
		return m.noLength(err)
	case n == -1:
		m.complete()
		return nil
	}
	const lineBreak = 2
	if !m.spend(n) {
		return ErrTooMuch
	}
	m.skip = n + lineBreak
	return nil
}

// announceElements is an array of so many elements, or of so many times each,
// and some more.
func (m *meter) announceElements(count []byte, each, more int64) error {
	n, err := strconv.ParseInt(string(count), 10, 64)
	if err != nil || n < -1 {
		return m.noLength(err)
	}
	n = max(n, 0)
	if n > most/(2*elementCost) || !m.spend(n*each*elementCost) || len(m.open) >= maxDepth {
		return ErrTooMuch
	}
	if n*each+more == 0 {
		m.complete()
		return nil
	}
	m.open = append(m.open, n*each+more)
	return nil
}

// most is more than anybody reads, and can be added up without going over.
const most = 1 << 40

// spend adds to what was spent, and reports whether that is a number at all.
func (m *meter) spend(bytes int64) bool {
	if bytes > most {
		return false
	}
	m.spent += bytes
	return m.spent <= most
}

// noLength is a length that cannot be read: a number that is too large for one,
// or none.
func (*meter) noLength(err error) error {
	if numError, ok := err.(*strconv.NumError); ok && numError.Err == strconv.ErrRange { //nolint:errorlint // it is never wrapped
		return ErrTooMuch
	}
	return ErrNotRedis
}

// complete ends an element, and with it the arrays that it is the last one of.
func (m *meter) complete() {
	for len(m.open) > 0 {
		last := len(m.open) - 1
		m.open[last]--
		if m.open[last] > 0 {
			return
		}
		m.open = m.open[:last]
	}
}
