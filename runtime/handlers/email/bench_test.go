package email

import (
	"testing"

	"github.com/wildout/wildout/internal/mailsink"
)

func BenchmarkSend(b *testing.B) {
	sink, err := mailsink.New(mailsink.Options{})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = sink.Run(b.Context()) }()
	m, err := New(Options{URL: "smtp://" + sink.Addr(), From: "a@wildout.example"})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.Send(attempt("k"), hello); err != nil {
				b.Error(err)
			}
		}
	})
}
