package console

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// position is a place in a list that is merged of several sources: time and
// sequence as in the id of a stream entry, and the name of the source where
// those are equal. The list goes from the greatest to the least.
type position struct {
	ms, seq uint64
	source  string
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.ms, q.ms), cmp.Compare(p.seq, q.seq), strings.Compare(p.source, q.source))
}

// entry returns the place as the id of a stream entry.
func (p position) entry() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

// before returns the bound, as in XREVRANGE, from which on the entries of a
// source come after this position in the list.
func (p position) before(source string) string {
	if source < p.source {
		return p.entry()
	}
	return "(" + p.entry()
}

// entryPosition is the place of an entry of a source.
func entryPosition(id, source string) position {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ := strconv.ParseUint(head, 10, 64)
	seq, _ := strconv.ParseUint(tail, 10, 64)
	return position{ms, seq, source}
}

// cursor writes a position for a client, to whom it means nothing.
func (p position) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.entry() + "-" + p.source))
}

// maxCursor bounds a cursor, in bytes.
const maxCursor = 512

// parseCursor reads what cursor wrote; nil for "". The error is a *Problem.
func parseCursor(text string) (*position, error) {
	if text == "" {
		return nil, nil
	}
	wrong := failf(http.StatusBadRequest, "this cursor was not made by wildout: take `next` of the page before as it is, or begin without a cursor")
	if len(text) > maxCursor {
		return nil, wrong
	}
	plain, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, wrong
	}
	parts := strings.SplitN(string(plain), "-", 3)
	if len(parts) != 3 {
		return nil, wrong
	}
	ms, err := strconv.ParseUint(parts[0], 10, 63)
	if err != nil {
		return nil, wrong
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return nil, wrong
	}
	p := &position{ms, seq, parts[2]}
	if p.cursor() != text {
		return nil, wrong // such as 007: two cursors for one place
	}
	return p, nil
}
