package worker_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/worker"
)

var _ = Describe("a machine whose clock is wrong", func() {
	for name, off := range map[string]time.Duration{"by a year": -8760 * time.Hour, "by an hour, ahead": time.Hour} {
		It("goes by the server's for all that is due, "+name, func() {
			r := newRig()
			p := compile("f", `
				triggers: [{event: a}]
				steps:
				- {name: nap, sleep: 50ms}
				- {name: one, handler: echo, with: {name: one}}`)
			r.start(p, func(o *worker.Options) { o.Now = func() time.Time { return time.Now().Add(off) } })
			e := r.send("a", `{}`)
			ended := r.ended("f", e)
			Expect(ended.Status).To(Equal(run.Succeeded))
			Expect(ended.StartedAt).To(BeTemporally("~", time.Now(), time.Minute))
			Expect(*ended.EndedAt).To(BeTemporally("~", time.Now(), time.Minute))
		})
	}
})
