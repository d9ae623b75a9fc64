package scenarios_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/scenarios"
	"github.com/wildout/wildout/internal/servicetest"
)

func TestMain(m *testing.M) {
	crashtest.Child(runner)
	os.Exit(servicetest.Main(m))
}

func TestScenarios(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "scenarios")
}

// redis is shared: each scenario has a namespace of its own.
var redis *servicetest.Redis

var _ = BeforeSuite(func() {
	redis = servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
})

var _ = scenarios.Declare(&processes{})
