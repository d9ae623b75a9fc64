package strictjson

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// The shapes of every day: an event of 320 bytes, and inputs of handlers. Each
// reading stands beside that of encoding/json which it took the place of.
var (
	eventText = []byte(`{"action":"LISTING_UPDATE","actor":"user-1","role":"editor","resource":{"kind":"listing","id":"listing-1"},"details":{"count":1,"fields":["title","venue","starts_at"],"note":"moved to the larger hall because tickets sold out"},"userId":"5f0c1c9a-1111-4222-8333-444455556666","email":"ada@example.com","n":1767322800000}`)
	stepText  = []byte(`{"id":"01JQ5A8Z3M6N7P8Q9R0S1T2V3W","action":"LISTING_UPDATE","before":true}`)
	mailText  = []byte(`{"to":["ada@example.com"],"template":"welcome","subject":"Welcome to the club, Ada","vars":{"name":"Ada","city":"Berlin","count":12,"link":"https://example.com/confirm?token=abcdef0123456789"}}`)
)

type stepInput struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Before bool   `json:"before"`
}

type mailInput struct {
	To       []string       `json:"to"`
	Template string         `json:"template"`
	Subject  string         `json:"subject"`
	Vars     map[string]any `json:"vars"`
}

type auditInput struct {
	Action   string          `json:"action"`
	Actor    string          `json:"actor"`
	Role     string          `json:"role"`
	Resource json.RawMessage `json:"resource"`
	Details  json.RawMessage `json:"details"`
	UserID   string          `json:"userId"`
	Email    string          `json:"email"`
	N        int64           `json:"n"`
}

func bench(b *testing.B, text []byte, read func([]byte) error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := read(text); err != nil {
			b.Fatal(err)
		}
	}
}

// before reads as the registry of handlers did: strict about fields, with a
// decoder that is used again.
func before[T any](b *testing.B) func([]byte) error {
	b.Helper()
	from := bytes.NewReader(nil)
	dec := json.NewDecoder(from)
	dec.DisallowUnknownFields()
	return func(text []byte) error {
		var into T
		from.Reset(text)
		return dec.Decode(&into)
	}
}

func now[T any](text []byte) error {
	var into T
	return UnmarshalKnown(text, &into)
}

func BenchmarkCheck(b *testing.B) {
	b.Run("before", func(b *testing.B) {
		bench(b, eventText, func(text []byte) error {
			if !utf8.Valid(text) || !json.Valid(text) {
				b.Fatal("not valid")
			}
			return nil
		})
	})
	b.Run("now", func(b *testing.B) { bench(b, eventText, Limits{Depth: 200, Values: 100_000}.Check) })
}

func BenchmarkUnmarshal(b *testing.B) {
	b.Run("step/before", func(b *testing.B) { bench(b, stepText, before[stepInput](b)) })
	b.Run("step/now", func(b *testing.B) { bench(b, stepText, now[stepInput]) })
	b.Run("mail/before", func(b *testing.B) { bench(b, mailText, before[mailInput](b)) })
	b.Run("mail/now", func(b *testing.B) { bench(b, mailText, now[mailInput]) })
	b.Run("audit/before", func(b *testing.B) { bench(b, eventText, before[auditInput](b)) })
	b.Run("audit/now", func(b *testing.B) { bench(b, eventText, now[auditInput]) })
}

func BenchmarkValue(b *testing.B) {
	b.Run("before", func(b *testing.B) {
		bench(b, eventText, func(text []byte) error {
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.UseNumber()
			var value any
			return dec.Decode(&value)
		})
	})
	b.Run("now", func(b *testing.B) {
		bench(b, eventText, func(text []byte) error {
			_, err := Value(text)
			return err
		})
	})
}
