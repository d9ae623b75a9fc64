package outside

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"sync"
)

// Webhooks receive webhooks. The id in its body makes it one, however often it
// is sent. The zero value is ready, and safe for use by many goroutines.
type Webhooks struct {
	mu  sync.Mutex
	ids []string
}

// ServeHTTP takes a webhook; the last part of the path is the receiver.
func (h *Webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ ID string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.ID == "" {
		http.Error(w, "want JSON with an id", http.StatusBadRequest)
		return
	}
	id := path.Base(r.URL.Path) + " " + body.ID
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.ids, id) {
		h.ids = append(h.ids, id)
	}
}

// IDs returns what came, as "receiver id", in the order of their first time.
func (h *Webhooks) IDs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.ids...)
}
