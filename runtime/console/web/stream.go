package web

import (
	"bytes"
	"hash/maphash"
	"net/http"
	"time"
)

// A page that is open has a stream of server-sent events. Each has HTML:
// elements with ids, which take the place of those that the page has, or come
// into its list.
const (
	maxStreams = 512
	// maxStream ends a stream, so that the browser comes back and shows again
	// who it is.
	maxStream = 10 * time.Minute
	// keepAlive is how often a stream says something, so that proxies keep it.
	keepAlive = 15 * time.Second
	// writeLimit is how long a browser may take to read.
	writeLimit = 20 * time.Second
)

// stream writes server-sent events. What the page has already is not sent.
type stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	seed maphash.Seed
	sent map[string]uint64 // by key: what was sent last
}

// send writes an event unless the page has the same under the key.
func (st *stream) send(key, id string, html []byte) error {
	if key != "" {
		sum := maphash.Bytes(st.seed, html)
		if st.sent[key] == sum {
			return nil
		}
		st.sent[key] = sum
	}
	var b bytes.Buffer
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	for line := range bytes.Lines(html) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return st.write(b.Bytes())
}

func (st *stream) write(text []byte) error {
	if err := st.rc.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if _, err := st.w.Write(text); err != nil {
		return err
	}
	return st.rc.Flush()
}
