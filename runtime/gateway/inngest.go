package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wildout/wildout/runtime/event"
)

// The headers of the Inngest event API.
const (
	headerSeed = "X-Inngest-Event-ID-Seed"
	headerSDK  = "X-Inngest-SDK"
)

// sent is the answer to events that were published.
type sent struct {
	// IDs has a place for each event of the request, null where it was left out.
	IDs    []*string `json:"ids"`
	Faults Faults    `json:"faults,omitempty"`
	Status int       `json:"status"`
}

// sendInngest answers POST /e/{key}.
func (g *Gateway) sendInngest(w http.ResponseWriter, r *http.Request) {
	answer, err := g.inngest(r)
	if err != nil {
		Refuse(w, inWordsOfInngest(err))
		return
	}
	reply(w, answer.Status, answer)
}

func (g *Gateway) inngest(r *http.Request) (*sent, error) {
	if r.Method != http.MethodPost {
		return nil, &Refusal{Status: http.StatusMethodNotAllowed, Message: "events are sent with POST"}
	}
	sender, err := g.Authenticate(r)
	if err != nil {
		return nil, err
	}
	s := submission{sender: sender}
	if s.partial, err = parsePartial(r); err != nil {
		return nil, g.countMalformed(err)
	}
	text, err := ReadBody(r)
	if err != nil {
		return nil, g.countMalformed(err)
	}
	if s.seed, err = parseSeed(r.Header.Get(headerSeed)); err != nil {
		return nil, g.countMalformed(err)
	}
	if s.seed != "" {
		s.seed = seedKey(sender.Name, s.seed, text)
	}
	if s.events, s.faults, err = readEvents(text, r.Header.Get(headerSDK) != ""); err != nil {
		return nil, g.countMalformed(err)
	}
	parent, state := event.TraceContext(r.Header.Get("Traceparent"), r.Header.Get("Tracestate"))
	for _, e := range s.events {
		e.TraceParent, e.TraceState = parent, state
	}
	faults, err := g.accept(r.Context(), s)
	if err != nil {
		return nil, err
	}
	return answerOf(s.events, faults), nil
}

func (g *Gateway) countMalformed(err error) error {
	if AsRefusal(err).Status == http.StatusServiceUnavailable {
		g.opts.Metrics.Refused(RefusedLoad, 1)
	} else {
		g.opts.Metrics.Refused(RefusedForm, 1)
	}
	return err
}

// ReadBody reads the body of a request. Its errors are for Refuse.
func ReadBody(r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(r.Body)
	var refusal *Refusal
	var large *http.MaxBytesError
	if err == nil || errors.As(err, &refusal) || errors.As(err, &large) {
		return text, err
	}
	// The client has gone, or does not keep to HTTP.
	return nil, &Refusal{Status: http.StatusBadRequest, Err: err, Message: "the body ended too early, or is no HTTP"}
}

func answerOf(events []*event.Event, faults Faults) *sent {
	answer := &sent{IDs: make([]*string, len(events)), Faults: faults.named(), Status: http.StatusOK}
	for i, e := range events {
		answer.IDs[i] = &e.ID
	}
	for _, f := range faults {
		answer.IDs[f.Event] = nil
	}
	return answer
}

// inWordsOfInngest calls the type of an event what senders call it.
func inWordsOfInngest(err error) error {
	var refusal *Refusal
	if !errors.As(err, &refusal) || len(refusal.Faults) == 0 {
		return err
	}
	return refusal.Faults.named().refusal()
}

func (f Faults) named() Faults {
	named := slices.Clone(f)
	for i := range named {
		if named[i].Path == "type" {
			named[i].Path = "name"
		}
	}
	return named
}

// parsePartial reads ?partial=, which asks to publish what is sound.
func parsePartial(r *http.Request) (bool, error) {
	text := r.URL.Query().Get("partial")
	if text == "" {
		return false, nil
	}
	partial, err := strconv.ParseBool(text)
	if err != nil {
		return false, &Refusal{Status: http.StatusBadRequest, Message: fmt.Sprintf("partial is %q, want true or false", clip(text))}
	}
	return partial, nil
}

// parseSeed checks the header by which a client that repeats a request says
// so: <milliseconds since 1970>,<base64 of 10 bytes>.
func parseSeed(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	millis, entropy, _ := strings.Cut(header, ",")
	_, numberErr := strconv.ParseUint(millis, 10, 48)
	raw, base64Err := base64.StdEncoding.DecodeString(entropy)
	// The decoder passes over line breaks; the length does not.
	if numberErr != nil || base64Err != nil || len(raw) != 10 || len(entropy) != base64.StdEncoding.EncodedLen(10) {
		return "", &Refusal{Status: http.StatusBadRequest,
			Message: fmt.Sprintf("the header %s is %q, want milliseconds since 1970, a comma and 10 bytes in base64", headerSeed, clip(header))}
	}
	return header, nil
}

// seedKey is what a repeated request has in common with the first one: its
// sender, its seed, and every byte.
func seedKey(sender, seed string, text []byte) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00", sender, seed)
	sum.Write(text)
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:18])
}

// cors lets pages of any site send events: what admits a request is the key in
// it, and no cookie.
func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "*, Authorization") // the star does not stand for this one
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		next.ServeHTTP(w, r)
	})
}

// devInfo answers GET /dev, by which an Inngest client finds a dev server.
func (g *Gateway) devInfo(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"version": "wildout", "functions": []string{}, "handlers": []string{}})
}
