package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/wildout/wildout/internal/scenarios"
)

// What internal/scenarios shows on processes of one machine, in the cluster.
var _ = Describe("The site in a cluster", Ordered, ContinueOnFailure, Label("scenarios"), func() {
	ground := &cluster{}
	// Not AfterAll: that would come before the last site is taken away.
	BeforeAll(func() { DeferCleanup(ground.clear) })
	scenarios.Declare(ground)
})
