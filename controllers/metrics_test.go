package controllers_test

import (
	"os"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/controllers"
)

// series are what an operator tells, as name{label=value,…}=value.
func series(registry *prometheus.Registry) (all []string, labels map[string][]string) {
	families, err := registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	labels = map[string][]string{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var names, pairs []string
			for _, l := range m.GetLabel() {
				names, pairs = append(names, l.GetName()), append(pairs, l.GetName()+"="+l.GetValue())
			}
			labels[family.GetName()] = names
			all = append(all, family.GetName()+"{"+strings.Join(pairs, ",")+"}="+regexp.MustCompile(`\.0*$`).ReplaceAllString(strings.TrimSpace(strings.TrimPrefix(m.GetGauge().String(), "value:")), ""))
		}
	}
	return all, labels
}

var _ = Describe("The metrics of the operator", Serial, func() {
	It("tell who leads, what is stuck, what is suspended, and what waits, as docs/telemetry.md has them", func() {
		space := newSpace(shared.URL())
		registry := prometheus.NewRegistry()
		theOne.stop()
		DeferCleanup(func() { restart() })
		theOne = startOperator(func(o *controllers.Options) { o.Metrics = registry })
		create(space, "asleep", simple("a/b")+"suspend: true")
		create(space, "faulty", strings.Replace(simple("a/b"), "handler: log.write", `set: "${nothing.here}"`, 1))
		Eventually(cond(space, "faulty", "Stalled"), starts).Should(is("True", "InvalidExpression"))
		told := func() []string { all, _ := series(registry); return all }
		Eventually(told, starts).Should(ContainElements(
			"wildout_operator_leader{}=1",
			"wildout_operator_stalled{kind=WildoutFunction,name=faulty,namespace="+space+",reason=InvalidExpression}=1",
			"wildout_operator_suspended{function=asleep,namespace="+space+"}=1",
			"wildout_operator_rollouts{state=waiting}=0",
			"wildout_operator_rollouts{state=under way}=0",
			HavePrefix("wildout_operator_functions{ready=True}="),
		))
		docs, err := os.ReadFile("../docs/telemetry.md")
		Expect(err).NotTo(HaveOccurred())
		documented := map[string][]string{}
		for _, row := range regexp.MustCompile("(?m)^\\| `(wildout_operator_\\w+)` \\| gauge \\| (.*?) \\|").FindAllStringSubmatch(string(docs), -1) {
			names := regexp.MustCompile(`\w+`).FindAllString(row[2], -1)
			slices.Sort(names)
			documented[row[1]] = names
		}
		_, labels := series(registry)
		Expect(labels).To(HaveLen(len(documented)))
		for name, want := range documented {
			Expect(labels[name]).To(HaveExactElements(want), name)
		}
	})
})
