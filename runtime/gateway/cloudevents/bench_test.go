package cloudevents

import (
	"net/http"
	"strings"
	"testing"
)

func benchmarkRead(b *testing.B, header http.Header, body string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := read(header, []byte(body)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBinary(b *testing.B) {
	benchmarkRead(b, http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"A-2041"}, "Ce-Source": {"/shop"}, "Ce-Type": {"com.example.paid"},
		"Ce-Time": {"2026-03-02T08:20:00Z"}, "Content-Type": {"application/json"}}, `{"order":"A-2041","amount":1099}`)
}

func BenchmarkStructured(b *testing.B) {
	benchmarkRead(b, http.Header{"Content-Type": {"application/cloudevents+json"}}, documents[0])
}

func BenchmarkBatchOf100(b *testing.B) {
	batch := "[" + strings.Repeat(documents[0]+",", 99) + documents[0] + "]"
	benchmarkRead(b, http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, batch)
}
