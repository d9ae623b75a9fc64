package store_test

import (
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// written writes the wire form of a record into the history and reads it back.
func (b *bench) written(text []byte) store.Record {
	GinkgoHelper()
	Expect(json.Valid(text)).To(BeTrue(), string(text))
	Expect(b.rdb.Del(ctx, b.keys.Done("f")).Err()).To(Succeed())
	Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Done("f"), Values: []any{"r", text}}).Err()).To(Succeed())
	all, err := b.History(ctx, "f", 10)
	Expect(err).NotTo(HaveOccurred())
	Expect(all).To(HaveLen(1))
	return all[0]
}

var _ = Describe("a record", func() {
	start := time.UnixMilli(1_700_000_000_000)
	at := func(ms int) *time.Time { t := start.Add(time.Duration(ms) * time.Millisecond); return &t }

	It("comes back from the history as it was", func() {
		r := store.Record{ID: "id", Function: "f", Status: store.Cancelled, EventID: "e", EventType: "a/ö", Version: "v", StartedAt: start, EndedAt: at(5000),
			Error: `"no"`, ErrorStep: "one", ReplayOf: "other", Follows: "another", Output: []byte(`{"a":1}`),
			Event: &event.Event{ID: "e", Type: "a", Time: start.UTC(), Data: []byte(`{"n":1}`)},
			Steps: []store.RecordStep{
				{Name: "plain", Status: "ok", Attempts: 1, Start: at(0), Millis: 3},
				{Name: "pending", Status: "pending"},
				{Name: "error", Status: "failed", Attempts: 1, Start: at(3), Error: "a\nb"},
				{Name: "output", Status: "ok", Attempts: 1, Start: at(4), Output: []byte(`[1.5,12345678901234567890,"x"]`)},
				{Name: "tries", Status: "failed", Attempts: 3, Start: at(50), Millis: 2, Error: "e2",
					Tries: []store.Try{{Start: *at(5), Millis: 1, Error: `e"1`}, {Start: *at(50), Millis: 2, Error: "e2"}}},
				{Name: "list", Status: "ok", Start: at(60), Elements: 1, Output: []byte(`[true]`)},
				{Name: "list[0]", Status: "ok", Start: at(60), Output: []byte(`true`)},
				{Name: `list[0]/a "b"`, Status: "cancelled", Start: at(60), Millis: 4},
			}}
		got := newBench().written(store.AppendRecord(nil, &r))
		Expect(got.EndedAt.Equal(*r.EndedAt)).To(BeTrue())
		Expect(got.Steps).To(HaveLen(len(r.Steps)))
		for i := range r.Steps {
			want, have := r.Steps[i], got.Steps[i]
			if want.Start != nil {
				Expect(have.Start.Equal(*want.Start)).To(BeTrue(), want.Name)
			}
			Expect(have.Tries).To(HaveLen(len(want.Tries)))
			for j := range want.Tries {
				Expect(have.Tries[j].Start.Equal(want.Tries[j].Start)).To(BeTrue())
				have.Tries[j].Start = want.Tries[j].Start
			}
			have.Start = want.Start
			Expect(have).To(Equal(want))
		}
		r.Steps, r.EndedAt, r.StartedAt = nil, nil, time.Time{}
		got.Steps, got.EndedAt, got.StartedAt = nil, nil, time.Time{}
		Expect(got).To(Equal(r))
	})

	It("has the output of a run once, if it is that of a step", func() {
		r := store.Record{ID: "id", StartedAt: start, Status: store.Succeeded, Output: []byte(`{"text":"only once"}`), Steps: []store.RecordStep{
			{Name: "one", Status: "ok", Output: []byte(`{"text":"only once"}`)}, {Name: "two", Status: "ok"}}}
		text := store.AppendRecord(nil, &r)
		Expect(strings.Count(string(text), "only once")).To(Equal(1))
		Expect(newBench().written(text).Output).To(Equal(r.Output))
		long := json.RawMessage(`"` + strings.Repeat("x", 1500) + `"`) // kept of a run, not of a step
		r.Output, r.Steps[0].Output = long, long
		Expect(newBench().written(store.AppendRecord(nil, &r)).Output).To(Equal(long))
		r.Output = json.RawMessage(`"` + strings.Repeat("x", 3000) + `"`)
		Expect(string(newBench().written(store.AppendRecord(nil, &r)).Output)).To(Equal(`"(3002 bytes, not kept)"`))
	})

	It("of three steps with small outputs fits into 400 bytes of memory", func() {
		r := store.Record{ID: "01M84NZ3D5RJ3TMSW6HRC3WPBW", EventID: "r0000001", EventType: "bench/event", Version: "0123456789abcdef", StartedAt: start, EndedAt: at(2), Status: store.Succeeded}
		for _, name := range []string{"validate", "store", "notify"} {
			r.Steps = append(r.Steps, store.RecordStep{Name: name, Status: "ok", Attempts: 1, Start: at(1), Output: []byte(`{"ok":true,"step":"` + name + `","id":"r0000001"}`)})
		}
		r.Output = r.Steps[2].Output
		text := store.AppendRecord(nil, &r)
		b := newBench()
		const n = 1000
		pipe := b.rdb.Pipeline()
		for range n {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Done("f"), Values: []any{"r", text}})
		}
		_, err := pipe.Exec(ctx)
		Expect(err).NotTo(HaveOccurred())
		used, err := b.rdb.MemoryUsage(ctx, b.keys.Done("f"), 0).Result()
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("bytes of a finished run", used/int64(n))
		Expect(used).To(BeNumerically("<=", 400*n))
	})

	DescribeTable("of an earlier release is readable", func(text string, want store.Record) {
		got := newBench().written([]byte(text))
		for i := range got.Steps {
			Expect(got.Steps[i].Start == nil).To(Equal(want.Steps[i].Start == nil))
			if want.Steps[i].Start != nil {
				Expect(got.Steps[i].Start.Equal(*want.Steps[i].Start)).To(BeTrue())
			}
			got.Steps[i].Start = want.Steps[i].Start
			for j := range got.Steps[i].Tries {
				Expect(got.Steps[i].Tries[j].Start.Equal(want.Steps[i].Tries[j].Start)).To(BeTrue())
				got.Steps[i].Tries[j].Start = want.Steps[i].Tries[j].Start
			}
		}
		Expect(got.StartedAt.Equal(start)).To(BeTrue())
		got.StartedAt, got.EndedAt = time.Time{}, nil
		want.ID, want.Function = "x", "f"
		Expect(got).To(Equal(want))
	},
		Entry("0.1, succeeded", `{"i":"x","e":"e","y":"a","v":"v","t":1700000000000,"d":7,"o":{"a":1},"s":[["one","",1,0,3],["two","skipped",0,3,0],["three","pending",0,-1,0]]}`,
			store.Record{Status: store.Succeeded, EventID: "e", EventType: "a", Version: "v", Output: []byte(`{"a":1}`), Steps: []store.RecordStep{
				{Name: "one", Status: "ok", Attempts: 1, Start: at(0), Millis: 3}, {Name: "two", Status: "skipped", Start: at(3)}, {Name: "three", Status: "pending"}}}),
		Entry("0.1, failed", `{"i":"x","t":1700000000000,"d":7,"x":"failed","m":"no","n":"one","E":{"id":"e","type":"a","time":"2023-11-14T22:13:20Z","data":{}},"s":[["one","failed",4,2,3,"no \"way\""]]}`,
			store.Record{Status: store.Failed, Error: "no", ErrorStep: "one", Event: &event.Event{ID: "e", Type: "a", Time: start.UTC(), Data: []byte(`{}`)},
				Steps: []store.RecordStep{{Name: "one", Status: "failed", Attempts: 4, Start: at(2), Millis: 3, Error: `no "way"`}}}),
		Entry("0.2", `{"i":"x","t":1700000000000,"d":9,"x":"cancelled","m":"why","R":"y","s":[["one",0,2,5,3,0,{"a":1},0,[[0,4,"no"]]],["list",0,1,8,1,0,"[1,2…",4000,[],60],["two","cancelled",0,9,0]],"O":0}`,
			store.Record{Status: store.Cancelled, Error: "why", ReplayOf: "y", Output: []byte(`{"a":1}`), Steps: []store.RecordStep{
				{Name: "one", Status: "ok", Attempts: 2, Start: at(5), Millis: 3, Output: []byte(`{"a":1}`), Tries: []store.Try{{Start: *at(0), Millis: 4, Error: "no"}}},
				{Name: "list", Status: "ok", Attempts: 1, Start: at(8), Millis: 1, Output: []byte(`"[1,2…"`), OutputBytes: 4000, Elements: 60},
				{Name: "two", Status: "cancelled", Start: at(9)}}}),
		Entry("a later one, with more", `{"i":"x","t":1700000000000,"d":7,"later":[1],"s":[["one","",1,0,3,"",null,0,[],0,"more"]]}`,
			store.Record{Status: store.Succeeded, Steps: []store.RecordStep{{Name: "one", Status: "ok", Attempts: 1, Start: at(0), Millis: 3}}}),
	)
})
