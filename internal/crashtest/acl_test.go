package crashtest_test

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

// aclOf is the line of docs/hardening.md, for a namespace.
func aclOf(namespace string) []any {
	GinkgoHelper()
	page, err := os.ReadFile("../../docs/hardening.md")
	Expect(err).NotTo(HaveOccurred())
	line := regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(page))
	Expect(line).NotTo(BeEmpty())
	var words []any
	for word := range strings.FieldsSeq(strings.ReplaceAll(line, "shop", namespace)) {
		words = append(words, word)
	}
	return words
}

var _ = Describe("a user of Redis for one namespace", func() {
	It("is enough for runners and for who publishes, looks and acts, and reaches no other namespace", func() {
		redis := servicetest.StartRedis(GinkgoTB())
		s, err := newScene(redis.Addr, 0)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			if CurrentSpecReport().Failed() {
				GinkgoWriter.Println(s.logs())
			}
			s.close()
		})
		Expect(s.redis.Do(aclOf(s.ns)...)).To(Equal("OK"))
		s.server = fmt.Sprintf("%s:PASSWORD@%s", s.ns, redis.Addr)
		s.store, err = store.Open(store.Options{URL: "redis://" + s.server + "/0", Namespace: s.ns, Logger: slog.New(slog.DiscardHandler)})
		Expect(err).NotTo(HaveOccurred())
		s.runs, s.inspect, s.acts = runs.New(s.store), inspect.New(s.store), acts.New(s.store)

		Expect(s.mixed()).To(Succeed())
		runner, _, err := s.start("confined", false)
		Expect(err).NotTo(HaveOccurred())
		Expect(runner.Begin()).To(Succeed())
		Expect(s.untilEnded(30 * time.Second)).To(Succeed())
		Expect(s.probe()).To(Succeed())
		Expect(s.verify(1)).To(Succeed())
		denied, err := s.redis.Strings("ACL", "LOG")
		Expect(err).NotTo(HaveOccurred())
		Expect(denied).To(BeEmpty(), "something that they do is not allowed")

		user, err := crashtest.Dial(redis.Addr)
		Expect(err).NotTo(HaveOccurred())
		defer user.Close()
		Expect(user.Do("AUTH", s.ns, "PASSWORD")).To(Equal("OK"))
		for _, command := range [][]any{
			{"HGETALL", "wo:{bank.0}:functions"},
			{"XADD", "wo:{bank.0}:ev:order/placed", "*", "a", "b"},
			{"HSET", "wo:{" + s.ns + "x.0}:fn:f:plans", "v", "{}"},
			{"GET", "other"},
			{"EVAL", "return redis.call('HGETALL', 'wo:{bank.0}:functions')", 0},
			{"KEYS", "*"}, {"SCAN", 0}, {"RANDOMKEY"}, {"FLUSHALL"}, {"FLUSHDB"}, {"SWAPDB", 0, 1}, {"CONFIG", "GET", "*"},
			{"ACL", "LIST"}, {"MONITOR"}, {"CLIENT", "LIST"}, {"CLIENT", "KILL", "TYPE", "normal"}, {"SCRIPT", "FLUSH"}, {"FUNCTION", "FLUSH"},
			{"REPLICAOF", "NO", "ONE"}, {"SHUTDOWN", "NOSAVE"}, {"PUBLISH", "c", "m"},
		} {
			_, err := user.Do(command...)
			Expect(err).To(MatchError(Or(ContainSubstring("NOPERM"), ContainSubstring("ACL failure"), ContainSubstring("can't access"))), "%v", command)
		}
	})
})
