package e2e_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/api/v1alpha1"
)

// plain is a function that works. What a spec adds comes below it.
const plain = `
triggers: [{event: conditions/tested}]
steps:
- {name: note, handler: log.write, with: {message: "noted ${event.id}"}}
`

// Each fault shows within 30 s, on real pods, and is gone within 30 s once it
// is mended: the default of Eventually here.
var _ = Describe("Conditions", func() {
	DescribeTable("say what is wrong with the runners, and that it is mended",
		func(name, bad, reason, words string) {
			key := apply(home, "cond-"+name, bad)
			Eventually(state(key, v1alpha1.ConditionReady)).Should(Equal("False/" + reason))
			Expect(message(key, v1alpha1.ConditionReady)).To(ContainSubstring(words))
			apply(home, key.Name, plain)
			Eventually(state(key, v1alpha1.ConditionReady)).Should(Equal("True/Ready"))
			Eventually(func() int { return len(runners(key)) }, time.Minute).Should(Equal(1))
			Expect(state(key, v1alpha1.ConditionReady)()).To(Equal("True/Ready"))
		},
		Entry("an unknown handler", "handler", `
triggers: [{event: conditions/tested}]
steps: [{name: note, handler: log.wirte, with: {message: hello}}]
`, "UnknownHandler", "log.wirte"),
		Entry("an image that is not there", "image", plain+`
runner: {image: "127.0.0.1:1/nobody:1"}
`, "ImagePullFailed", "127.0.0.1:1/nobody:1"),
		Entry("a runner that crashes", "crash", plain+`
runner: {env: [{name: WILDOUT_GRACE, value: forever}]}
`, "RunnerRefuses", "WILDOUT_GRACE"),
		Entry("a Secret that is missing", "secret", plain+`
runner: {env: [{name: KEY, valueFrom: {secretKeyRef: {name: not-there, key: key}}}]}
`, "ConfigNotFound", "not-there"),
		Entry("too little memory", "memory", plain+`
runner: {resources: {limits: {memory: 6Mi}}}
`, "OutOfMemory", "memory"),
		Entry("no node for it", "node", plain+`
runner: {nodeSelector: {wildout.dev/e2e: nowhere}}
`, "Unschedulable", "no node"),
		Entry("pods that the namespace refuses", "quota", plain+`
runner: {serviceAccountName: nobody}
`, "PodsForbidden", "nobody"),
		Entry("an expression that is none", "expression", `
triggers: [{event: conditions/tested}]
steps: [{name: note, handler: log.write, with: {message: "${event.}"}}]
`, "InvalidExpression", "spec.steps[0].with.message"),
	)

	It("say that runs fail, and that they do not any more", func() {
		sender := newSender()
		spec := `
triggers: [{event: conditions/failing}]
steps:
- name: hold
  assert: [{that: "event.data.good", message: "it was not good"}]
`
		key := apply(home, "cond-failing", spec)
		becomesReady(key)
		for i := range 5 {
			sender.send("conditions/failing", fmt.Sprintf("bad-%d-%d", GinkgoRandomSeed(), i), map[string]any{"good": false})
		}
		Eventually(state(key, v1alpha1.ConditionHealthy)).Should(Equal("False/HighFailureRate"))
		Expect(message(key, v1alpha1.ConditionHealthy)).To(ContainSubstring("it was not good"))
		Expect(state(key, v1alpha1.ConditionReady)()).To(HavePrefix("True/"))
		for i := range 20 {
			sender.send("conditions/failing", fmt.Sprintf("good-%d-%d", GinkgoRandomSeed(), i), map[string]any{"good": true})
		}
		Eventually(state(key, v1alpha1.ConditionHealthy)).Should(HavePrefix("True/"))
	})

	It("do not say Ready of a change before its runners are there", func() {
		key := apply(home, "cond-honest", plain)
		becomesReady(key)
		for i := range 5 {
			apply(home, key.Name, fmt.Sprintf("description: change %d\n%s\ntimeout: %dm\n", i, plain, i+1))
			generation := get(key).Generation
			Eventually(state(key, v1alpha1.ConditionReady), time.Minute, 20*time.Millisecond).Should(Equal("True/Ready"))
			f := get(key)
			Expect(f.Generation).To(Equal(generation))
			up := 0
			for _, pod := range runners(key) {
				if pod.DeletionTimestamp.IsZero() {
					Expect(ready(&pod)).To(BeTrue(), "pod %s", pod.Name)
					Expect(pod.Annotations["wildout.dev/manifest"]).To(Equal(deploymentOf(key).Spec.Template.Annotations["wildout.dev/manifest"]))
					up++
				}
			}
			Expect(up).To(Equal(1))
		}
	})

	It("are what people see in kubectl get", func() {
		key := apply(home, "cond-table", plain)
		becomesReady(key)
		out, err := printed(".", "kubectl", "get", "wfn", "--namespace", home, key.Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(out).To(MatchRegexp(`NAME +TRIGGERS +READY +REASON`))
		Expect(out).To(MatchRegexp(`cond-table +conditions/tested +True +Ready`))
	})
})
