package controllers_test

import (
	"log/slog"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// What runs when the operator is uninstalled.
var _ = Describe("Leaving", Serial, func() {
	leave := func(space string, o controllers.LeaveOptions) {
		GinkgoHelper()
		o.Namespaces, o.Quiet, o.Logger = []string{space}, time.Second, slog.New(slog.NewTextHandler(logs(), nil))
		Expect(controllers.Leave(ctx, admin, o)).To(Succeed())
	}
	isGone := func(space, name string) {
		GinkgoHelper()
		Expect(apierrors.IsNotFound(admin.Get(ctx, key(space, name), &v1alpha1.WildoutFunction{}))).To(BeTrue(), "function %s", name)
	}

	It("lets functions go: they stay, and can be deleted without an operator", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		ready(space, "f", simple("a/b"))
		theOne.stop()
		DeferCleanup(func() { theOne = startOperator() })
		Expect(get(space, "f").Finalizers).NotTo(BeEmpty())
		leave(space, controllers.LeaveOptions{})
		f := get(space, "f")
		Expect(f.Finalizers).To(BeEmpty())
		Expect(deployment(space, "f")).NotTo(BeNil(), "its runners go on")
		Expect(admin.Delete(ctx, f)).To(Succeed())
		isGone(space, "f")
		t := eventType(space, "a-b", "a/b")
		Expect(admin.Delete(ctx, t)).To(Succeed())
		Expect(apierrors.IsNotFound(admin.Get(ctx, key(space, "a-b"), t))).To(BeTrue())
	})

	It("deletes all while the operator can clean up", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		ready(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		Expect(inspect.New(redis).Groups(ctx, "a/b")).NotTo(BeEmpty())
		leave(space, controllers.LeaveOptions{Delete: true, Patience: time.Minute})
		isGone(space, "f")
		Expect(inspect.New(redis).Groups(ctx, "a/b")).To(BeEmpty())
	})

	It("deletes all, if late, when there is no operator", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		theOne.stop()
		DeferCleanup(func() { theOne = startOperator() })
		leave(space, controllers.LeaveOptions{Delete: true, Patience: 2 * time.Second})
		isGone(space, "f")
	})
})
