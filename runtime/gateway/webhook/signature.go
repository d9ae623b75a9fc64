package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The headers of the schemes.
const (
	headerID              = "Webhook-Id"
	headerTimestamp       = "Webhook-Timestamp"
	headerSignature       = "Webhook-Signature"
	headerGitHubSignature = "X-Hub-Signature-256"
	headerGitHubDelivery  = "X-GitHub-Delivery"
	headerGitHubEvent     = "X-GitHub-Event"
	headerStripe          = "Stripe-Signature"
)

// SignatureError says which header of a request does not prove where it comes
// from. It says nothing of the secret.
type SignatureError struct {
	// Header is the name of the header.
	Header string
	// Reason goes on after the name.
	Reason string
}

func (e *SignatureError) Error() string { return "header " + e.Header + " " + e.Reason }

// scheme is one way to sign requests. Its errors are *SignatureError.
type scheme interface {
	// key reads a secret as it stands in a file.
	key(secret string) ([]byte, error)
	// verify checks that the request was signed with one of the keys, at a time
	// that is at most tolerance away from now.
	verify(r signed, keys [][]byte) error
	// deliveryID is what the sender repeats when it sends a request again;
	// empty when there is no such thing.
	deliveryID(header http.Header, body func(field string) string) string
	// signedBeside is what is signed beside the body.
	signedBeside(header http.Header) string
	// ignored says why a request never becomes an event; empty: it may.
	ignored(header http.Header) string
}

// always is the part of the schemes that ignore nothing.
type always struct{}

func (always) ignored(http.Header) string { return "" }

// bodyOnly is the part of the schemes that sign nothing else, or an id that
// every request has.
type bodyOnly struct{}

func (bodyOnly) signedBeside(http.Header) string { return "" }

// signed is what a signature is about.
type signed struct {
	header    http.Header
	body      []byte
	now       time.Time
	tolerance time.Duration
}

// required returns a header that must be there.
func (r signed) required(name string) (string, error) {
	value := r.header.Get(name)
	if value == "" {
		return "", &SignatureError{name, "is missing: has the sender the secret, and does a proxy drop the header?"}
	}
	return value, nil
}

// fresh checks the time of a signature, in seconds since 1970.
func (r signed) fresh(header, seconds string) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return &SignatureError{header, fmt.Sprintf("has the time %q, want seconds since 1970", clip(seconds))}
	}
	switch age := r.now.Sub(time.Unix(n, 0)); {
	case age > r.tolerance:
		return &SignatureError{header, fmt.Sprintf("is older than the tolerance of %s: was the request sent again later, or is a clock wrong?", r.tolerance)}
	case age < -r.tolerance:
		return &SignatureError{header, fmt.Sprintf("is more than %s in the future: is a clock wrong?", r.tolerance)}
	}
	return nil
}

const mismatch = "does not fit the body with any of our secrets: is the secret the one of the sender, and does a proxy change the body?"

var errNoSecret = errors.New("is empty")

// standardWebhooks is the scheme of www.standardwebhooks.com, version v1.
type standardWebhooks struct {
	always
	bodyOnly
}

func (standardWebhooks) key(secret string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, errors.New("is not base64 after whsec_")
	}
	if len(key) == 0 {
		return nil, errNoSecret
	}
	return key, nil
}

func (standardWebhooks) verify(r signed, keys [][]byte) error {
	for _, name := range [...]string{headerID, headerSignature} {
		if _, err := r.required(name); err != nil {
			return err
		}
	}
	seconds, err := r.required(headerTimestamp)
	if err != nil {
		return err
	}
	if err := r.fresh(headerTimestamp, seconds); err != nil {
		return err
	}
	for _, key := range keys {
		w, err := standard.NewWebhookRaw(key)
		if err != nil {
			return fmt.Errorf("set up Standard Webhooks: %w", err)
		}
		if w.VerifyIgnoringTimestamp(r.body, r.header) == nil {
			return nil
		}
	}
	return &SignatureError{headerSignature, mismatch}
}

func (standardWebhooks) deliveryID(header http.Header, _ func(string) string) string {
	return header.Get(headerID)
}

// github is the scheme of GitHub, with SHA-256. It signs no time and no
// delivery id.
type github struct{ bodyOnly }

func (github) key(secret string) ([]byte, error) { return textKey(secret) }

func (github) verify(r signed, keys [][]byte) error {
	value, err := r.required(headerGitHubSignature)
	if err != nil {
		return err
	}
	text, found := strings.CutPrefix(value, "sha256=")
	signature, err := hex.DecodeString(text)
	if !found || err != nil {
		return &SignatureError{headerGitHubSignature, "is not sha256= and hexadecimal digits"}
	}
	if !anyFits(keys, signature, r.body) {
		return &SignatureError{headerGitHubSignature, mismatch}
	}
	return nil
}

func (github) deliveryID(header http.Header, _ func(string) string) string {
	return header.Get(headerGitHubDelivery)
}

// ignored holds for the ping that GitHub sends when a webhook is set up.
func (github) ignored(header http.Header) string {
	if header.Get(headerGitHubEvent) == "ping" {
		return "this is the ping of GitHub: the webhook works"
	}
	return ""
}

// stripe is the scheme of Stripe, version v1.
type stripe struct{ always }

func (stripe) key(secret string) ([]byte, error) { return textKey(secret) }

// maxStripeSignatures bounds the signatures of a request; Stripe sends one for
// each secret that is in use.
const maxStripeSignatures = 16

func (stripe) verify(r signed, keys [][]byte) error {
	value, err := r.required(headerStripe)
	if err != nil {
		return err
	}
	seconds, signatures, err := parseStripe(value)
	if err != nil {
		return err
	}
	if err := r.fresh(headerStripe, seconds); err != nil {
		return err
	}
	for _, signature := range signatures {
		if anyFits(keys, signature, []byte(seconds), []byte("."), r.body) {
			return nil
		}
	}
	return &SignatureError{headerStripe, mismatch}
}

// parseStripe reads "t=1700000000,v1=6f…,v1=0c…,v0=…".
func parseStripe(value string) (seconds string, signatures [][]byte, err error) {
	for part := range strings.SplitSeq(value, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if seconds != "" {
				return "", nil, &SignatureError{headerStripe, "has more than one t="}
			}
			seconds = text
		case "v1":
			signature, err := hex.DecodeString(text)
			if err != nil {
				return "", nil, &SignatureError{headerStripe, "has a v1= that is not hexadecimal"}
			}
			signatures = append(signatures, signature)
		}
	}
	switch {
	case seconds == "":
		return "", nil, &SignatureError{headerStripe, "has no t=, the time"}
	case len(signatures) == 0:
		return "", nil, &SignatureError{headerStripe, "has no v1=, the signature"}
	case len(signatures) > maxStripeSignatures:
		return "", nil, &SignatureError{headerStripe, fmt.Sprintf("has more than %d signatures", maxStripeSignatures)}
	}
	return seconds, signatures, nil
}

func (stripe) signedBeside(header http.Header) string {
	seconds, _, _ := parseStripe(header.Get(headerStripe)) // it was verified
	return seconds
}

func (stripe) deliveryID(_ http.Header, body func(string) string) string { return body("id") }

// unsigned takes every request.
type unsigned struct {
	always
	bodyOnly
}

func (unsigned) key(string) ([]byte, error) { return nil, nil }

func (unsigned) verify(signed, [][]byte) error { return nil }

func (unsigned) deliveryID(http.Header, func(string) string) string { return "" }

// textKey is a secret that is used as it is written.
func textKey(secret string) ([]byte, error) {
	if secret == "" {
		return nil, errNoSecret
	}
	return []byte(secret), nil
}

// anyFits reports whether signature is the HMAC-SHA-256 of the parts with one
// of the keys. How long a comparison takes says nothing about the bytes.
func anyFits(keys [][]byte, signature []byte, parts ...[]byte) bool {
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		for _, part := range parts {
			mac.Write(part)
		}
		if hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
	}
	return false
}
