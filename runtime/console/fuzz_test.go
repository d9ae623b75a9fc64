package console

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzCursor reads any text as a cursor: what is taken is what cursor writes.
func FuzzCursor(f *testing.F) {
	f.Add(position{1_700_000_000_000, 7, "egreet"}.cursor())
	f.Add(position{}.cursor())
	f.Add("")
	f.Add("MDctMC1l") // 07-0-e
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseCursor(text)
		if err != nil {
			if StatusOf(err) != 400 {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if p == nil {
			if text != "" {
				t.Errorf("%q is no cursor and no error", text)
			}
			return
		}
		if p.cursor() != text {
			t.Errorf("%q is read as %+v, whose cursor is %q", text, p, p.cursor())
		}
		if entryPosition(p.entry(), p.source) != *p {
			t.Errorf("%+v is not the place of its entry %s", p, p.entry())
		}
	})
}

// FuzzRunQuery reads any parameters.
func FuzzRunQuery(f *testing.F) {
	for _, seed := range []string{"", "status=failed,waiting&limit=5", "since=15m&until=2030-01-31T09:00:00Z", "since=99999999999d", "limit=0", "cursor=x", "text=%22%00", "a=b", "since=-1h"} {
		f.Add(seed)
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			t.Skip()
		}
		if q, err := ParseRunQuery(v, now); err != nil {
			if StatusOf(err) != 400 {
				t.Errorf("%q: %v", text, err)
			}
		} else if q.Limit < 1 || q.Limit > MaxLimit || q.Since.After(q.Until) && !q.Until.IsZero() || !q.Since.IsZero() && q.Since.Year() < 1900 {
			t.Errorf("%q is read as %+v", text, q)
		}
		if q, err := ParseEventQuery(v, now); err == nil && (q.Limit < 1 || q.Limit > MaxLimit) {
			t.Errorf("%q is read as %+v", text, q)
		}
		_, _ = ParseFilter(v)
	})
}

// FuzzChanges reads any stream of a server.
func FuzzChanges(f *testing.F) {
	f.Add("retry: 2000\n\nid: a-1\nevent: run\ndata: {\"kind\":\"run\"}\n\n")
	f.Add("data: {\n\n")
	f.Add(": beat\n\ndata")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := readChanges(strings.NewReader(text), func(Change) bool { n++; return n < 3 })
		if err == nil && n < 3 {
			t.Errorf("%q ends without an error after %d changes", text, n)
		}
	})
}
