package controllers_test

import (
	"os"
	"path/filepath"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

// expectation is a leading comment of a wrong manifest.
var expectation = regexp.MustCompile(`(?m)^# expect(-plan)?: ([^ ]+): (.*)$`)

var _ = Describe("Manifests", func() {
	It("of our own are accepted", func() {
		space := newSpace(shared.URL())
		for _, folder := range []string{"../config/samples", "../config/functions", "../config/event-types"} {
			paths, err := filepath.Glob(folder + "/*.yaml")
			Expect(err).NotTo(HaveOccurred())
			for _, path := range paths {
				if filepath.Base(path) == "kustomization.yaml" {
					continue
				}
				for _, object := range readObjects(path) {
					object.SetNamespace(space)
					Expect(client.IgnoreAlreadyExists(admin.Create(ctx, object))).To(Succeed(), path)
				}
			}
		}
		var list v1alpha1.WildoutFunctionList
		Expect(admin.List(ctx, &list, client.InNamespace(space))).To(Succeed())
		Expect(len(list.Items)).To(BeNumerically(">", 25))
		for _, f := range list.Items {
			Eventually(cond(space, f.Name, "Accepted")).Should(HavePrefix("True/"), f.Name)
		}
	})

	It("that are wrong are refused, or shown with the path", func() {
		space := newSpace(shared.URL())
		paths, err := filepath.Glob("../config/samples/invalid/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		shown := 0
		for _, path := range paths {
			text, err := os.ReadFile(path)
			Expect(err).NotTo(HaveOccurred())
			object := readObjects(path)[0]
			object.SetNamespace(space)
			if regexp.MustCompile(`(?m)^# update-of:`).Match(text) {
				continue // right by itself
			}
			err = admin.Create(ctx, object)
			if err != nil {
				Expect(apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)).To(BeTrue(), "%s: %v", path, err)
				continue
			}
			if object.GetKind() == "WildoutEventType" {
				Eventually(func() string {
					t := &v1alpha1.WildoutEventType{}
					Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), t)).To(Succeed())
					return show(t.Status.Conditions, "Accepted", t.Generation)
				}).Should(HavePrefix("False/"), path)
				continue
			}
			if fields := unknownFields(path); fields {
				continue // kubectl and --validate=strict refuse it; a plain client's are dropped
			}
			for _, want := range expectation.FindAllStringSubmatch(string(text), -1) {
				shown++
				Eventually(cond(space, object.GetName(), "Accepted")).Should(And(HavePrefix("False/"), ContainSubstring(want[2]), ContainSubstring(want[3])), path)
			}
			f := get(space, object.GetName())
			Expect(meta.IsStatusConditionTrue(f.Status.Conditions, "Stalled")).To(BeTrue())
			Expect(deployment(space, f.Name)).To(BeNil())
		}
		Expect(shown).To(BeNumerically(">", 3))
	})
})

// unknownFields reports whether a manifest is wrong for a field that nobody knows.
func unknownFields(path string) bool {
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	return regexp.MustCompile(`(?m)^# expect: .*unknown field`).Match(text)
}
