package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
)

var _ = Describe("a record", func() {
	start := time.UnixMilli(1_700_000_000_000)
	at := func(ms int) *time.Time { t := start.Add(time.Duration(ms) * time.Millisecond); return &t }

	It("of three steps with small outputs fits into 400 bytes of memory", func() {
		r := run.Record{ID: "01M84NZ3D5RJ3TMSW6HRC3WPBW", EventID: "r0000001", EventType: "bench/event", Version: "0123456789abcdef", StartedAt: start, EndedAt: at(2), Status: run.Succeeded}
		for _, name := range []string{"validate", "store", "notify"} {
			r.Steps = append(r.Steps, run.StepRecord{Name: name, Status: "ok", Attempts: 1, Start: at(1), Output: []byte(`{"ok":true,"step":"` + name + `","id":"r0000001"}`)})
		}
		r.Output = r.Steps[2].Output
		text := run.AppendRecord(nil, &r)
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
})
