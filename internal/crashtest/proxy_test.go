package crashtest_test

import (
	"errors"
	"testing/fstest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
)

var _ = Describe("a proxy", func() {
	const key = "proxied"
	var (
		direct, client *crashtest.Conn
		proxy          *crashtest.Proxy
	)
	arm := func(p crashtest.Point) (hits *int) {
		hits = new(int)
		proxy.Arm(p, func() { *hits++ })
		return hits
	}
	do := func(args ...any) chan any {
		answer := make(chan any, 1)
		go func() {
			value, err := client.Do(args...)
			if err != nil {
				value = err
			}
			answer <- value
		}()
		return answer
	}
	value := func() any {
		GinkgoHelper()
		v, err := direct.Do("GET", key)
		Expect(err).NotTo(HaveOccurred())
		return v
	}

	BeforeEach(func() {
		var err error
		direct, err = crashtest.Dial(shared.Addr)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(direct.Close)
		Expect(direct.Do("SET", key, "0")).To(Equal("OK"))
		proxy, err = crashtest.NewProxy(shared.Addr, scripts)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		client, err = crashtest.Dial(proxy.Addr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Close)
	})

	It("passes on every kind of answer", func() {
		Expect(client.Do("HELLO", 3)).NotTo(BeEmpty()) // a map
		Expect(client.Do("INCR", key)).To(Equal(int64(1)))
		Expect(client.Do("GET", "nothing")).To(BeNil())
		Expect(client.Strings("EVAL", "return {1, {'two', false}, redis.status_reply('three')}", 0)).To(Equal([]string{"1", "[two <nil>]", "three"}))
		_, err := client.Do("INCR", key, "too many")
		refused := crashtest.ServerError("")
		Expect(errors.As(err, &refused)).To(BeTrue())
		Expect(proxy.Seen()).To(HaveKeyWithValue("incr", 2))
	})

	It("keeps a command from Redis before its point", func() {
		hits := arm(crashtest.Point{Command: "incr", Args: []string{"rox"}, Nth: 2, Fault: crashtest.Before})
		Expect(client.Do("INCR", key)).To(Equal(int64(1)))
		Eventually(do("INCR", key)).Should(Receive(MatchError(ContainSubstring("EOF"))))
		Eventually(proxy.Reached()).Should(BeClosed())
		Expect(value()).To(Equal("1"))
		Expect(*hits).To(Equal(1))
	})

	DescribeTable("keeps an answer from the client", func(fault crashtest.Fault) {
		hits := arm(crashtest.Point{Command: "incr", Fault: fault})
		Eventually(do("INCR", key)).Should(Receive(MatchError(ContainSubstring("EOF"))))
		Eventually(proxy.Reached()).Should(BeClosed())
		Expect(value()).To(Equal("1"))
		Expect(*hits).To(Equal(1))
	},
		Entry("after its point", crashtest.After),
		Entry("when it cuts the connection", crashtest.Cut),
	)

	It("holds a late command back until it is released", func() {
		arm(crashtest.Point{Command: "incr", Fault: crashtest.Late})
		answer := do("INCR", key)
		Eventually(proxy.Reached()).Should(BeClosed())
		Consistently(answer, 50*time.Millisecond).ShouldNot(Receive())
		Expect(value()).To(Equal("0"))
		proxy.Release()
		Eventually(answer).Should(Receive(Equal(int64(1))))
		Expect(proxy.Answer()).To(Equal(int64(1)))
	})

	It("lets nothing through while it is frozen", func() {
		proxy.Freeze()
		answer := do("INCR", key)
		Consistently(answer, 50*time.Millisecond).ShouldNot(Receive())
		Expect(value()).To(Equal("0"))
		proxy.Thaw()
		Eventually(answer).Should(Receive(Equal(int64(1))))
	})

	It("knows scripts by their names, however they are called", func() {
		const source = "return redis.call('INCR', KEYS[1])"
		named, err := crashtest.ReadScripts(fstest.MapFS{"count.lua": {Data: []byte(source)}})
		Expect(err).NotTo(HaveOccurred())
		own, err := crashtest.NewProxy(shared.Addr, named)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(own.Close)
		caller, err := crashtest.Dial(own.Addr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(caller.Close)
		sha, err := caller.Do("SCRIPT", "LOAD", source)
		Expect(err).NotTo(HaveOccurred())
		Expect(caller.Do("EVALSHA", sha, 1, key)).To(Equal(int64(1)))
		Expect(caller.Do("EVAL", source, 1, key)).To(Equal(int64(2)))
		Expect(own.Seen()).To(HaveKeyWithValue("count", 2))
	})
})
