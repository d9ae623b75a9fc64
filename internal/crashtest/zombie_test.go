package crashtest_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
)

// stage is a scene whose trouble fails the test at once.
type stage struct{ *scene }

func newStage() stage {
	GinkgoHelper()
	s, err := newScene(shared.Addr, <-databases)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			GinkgoWriter.Println(s.logs())
		}
		s.close()
		databases <- s.db
	})
	return stage{s}
}

func (s stage) runner(name string, proxied bool) (*crashtest.Process, *crashtest.Proxy) {
	GinkgoHelper()
	p, proxy, err := s.start(name, proxied)
	Expect(err).NotTo(HaveOccurred())
	return p, proxy
}

// dozing waits until the handler of the slow step was called by that runner.
func (s stage) dozing(runner string) {
	GinkgoHelper()
	Expect(s.until(10*time.Second, "the slow step has begun", func() (bool, error) {
		begun, err := s.redis.Strings("HVALS", begunKey(s.ns))
		return strings.Contains(strings.Join(begun, " "), runner), err
	})).To(Succeed())
}

// names returns the names under which runners of a function are known.
func (s stage) names(function string) []string {
	GinkgoHelper()
	names, err := s.redis.Strings("ZRANGE", s.key("fn:"+function+":runners"), 0, -1)
	Expect(err).NotTo(HaveOccurred())
	return names
}

var _ = Describe("a zombie", func() {
	It("that was frozen in the middle of a step ends nothing twice, and takes new work under a new name", func() {
		s := newStage()
		s.doze = 500 * time.Millisecond
		first, _ := s.runner("first", false)
		second, _ := s.runner("second", false)
		Expect(s.publish("slow/asked", `{}`, "slow")).To(Succeed())
		Expect(first.Begin()).To(Succeed())
		s.dozing("first")
		before := s.names("slow")

		Expect(first.Freeze()).To(Succeed())
		Expect(s.snapshot()).To(Succeed())
		Expect(second.Begin()).To(Succeed())
		Expect(s.untilEnded(10 * time.Second)).To(Succeed())
		Expect(first.Thaw()).To(Succeed())
		Expect(second.End(10 * time.Second)).To(Succeed())

		Expect(s.mixed()).To(Succeed())
		Expect(s.untilEnded(15 * time.Second)).To(Succeed())
		Expect(s.verify(1)).To(Succeed())
		Expect(s.names("slow")).To(ConsistOf(HavePrefix("first-")))
		Expect(s.names("slow")).NotTo(Equal(before))
	})

	It("whose finish arrives after another runner's is refused", func() {
		s := newStage()
		first, proxy := s.runner("first", true)
		second, _ := s.runner("second", false)
		Expect(s.publish("slow/asked", `{}`, "slow")).To(Succeed())
		var frozen error
		proxy.Arm(crashtest.Point{Command: "finish", Args: []string{"fn:slow:done"}, Fault: crashtest.Late}, func() { frozen = first.Freeze() })
		Expect(first.Begin()).To(Succeed())
		Eventually(proxy.Reached()).Should(BeClosed())
		Expect(frozen).NotTo(HaveOccurred())
		Expect(s.snapshot()).To(Succeed())

		Expect(second.Begin()).To(Succeed())
		Expect(s.untilEnded(10 * time.Second)).To(Succeed())
		proxy.Release()
		Eventually(proxy.Answered()).Should(BeClosed())
		Expect(proxy.Answer()).To(Equal([]any{int64(0)}), "the acknowledgement must not have counted")

		Expect(first.Thaw()).To(Succeed())
		Expect(second.End(10 * time.Second)).To(Succeed())
		Expect(s.mixed()).To(Succeed())
		Expect(s.untilEnded(15 * time.Second)).To(Succeed())
		Expect(s.verify(1)).To(Succeed())
	})

	It("whose read brings it an entry when nobody knows it any more gives the entry up at once", func() {
		s := newStage()
		first, proxy := s.runner("first", true)
		second, _ := s.runner("second", false)
		Expect(s.publish("slow/asked", `{}`, "slow")).To(Succeed())
		var frozen error
		proxy.Arm(crashtest.Point{Command: "xreadgroup", Args: []string{"ev:slow/asked"}, Fault: crashtest.Late}, func() { frozen = first.Freeze() })
		Expect(first.Begin()).To(Succeed())
		Eventually(proxy.Reached()).Should(BeClosed())
		Expect(frozen).NotTo(HaveOccurred())

		Expect(second.Begin()).To(Succeed())
		Expect(s.untilEnded(10 * time.Second)).To(Succeed())
		Eventually(func() []string { return s.names("slow") }).Should(ConsistOf(HavePrefix("second-")))
		Expect(second.End(10 * time.Second)).To(Succeed())
		Expect(s.publish("slow/asked", `{}`, "slow")).To(Succeed())
		proxy.Release()
		Eventually(proxy.Answered()).Should(BeClosed())
		Expect(proxy.Answer()).NotTo(BeNil(), "the read must have brought the entry")

		Expect(first.Thaw()).To(Succeed())
		Expect(s.untilEnded(5 * time.Second)).To(Succeed())
		Expect(s.verify(1)).To(Succeed())
	})

	It("that the network cut off for longer than its lease does no harm when all that it sent arrives at last", func() {
		s := newStage()
		first, proxy := s.runner("first", true)
		second, _ := s.runner("second", false)
		Expect(s.mixed()).To(Succeed())
		Expect(first.Begin()).To(Succeed())
		s.dozing("first")

		proxy.Freeze()
		Expect(s.snapshot()).To(Succeed())
		Expect(second.Begin()).To(Succeed())
		Expect(s.untilEnded(10 * time.Second)).To(Succeed())
		proxy.Thaw()
		time.Sleep(lease)
		Expect(second.End(10 * time.Second)).To(Succeed())

		Expect(s.probe()).To(Succeed())
		Expect(s.verify(1)).To(Succeed())
	})
})
