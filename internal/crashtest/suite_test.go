package crashtest_test

import (
	"io/fs"
	"os"
	"path"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/servicetest"
)

func TestMain(m *testing.M) {
	crashtest.Child(runner)
	os.Exit(m.Run())
}

func TestCrash(t *testing.T) {
	RegisterFailHandler(Fail)
	// A busy machine makes a test slow, not red.
	SetDefaultEventuallyTimeout(30 * time.Second)
	RunSpecs(t, "crash")
}

var (
	shared  *servicetest.Redis
	scripts crashtest.Scripts
	// schedule is what the store calls the schedule of the cron function.
	schedule string
)

var _ = BeforeSuite(func() {
	shared = servicetest.StartRedis(GinkgoTB())
	folder := os.DirFS("../../runtime/store")
	var err error
	scripts, err = crashtest.ReadScripts(folder)
	Expect(err).NotTo(HaveOccurred())
	plans, err := compileAll(time.Now(), 0)
	Expect(err).NotTo(HaveOccurred())
	schedule = plans["nightly"].Triggers[0].Cron
	// Redis knows the scripts beforehand: a point is the command, and not the
	// refusal of one that is unknown.
	redis, err := crashtest.Dial(shared.Addr)
	Expect(err).NotTo(HaveOccurred())
	defer redis.Close()
	Expect(fs.WalkDir(folder, ".", func(file string, _ fs.DirEntry, err error) error {
		if path.Ext(file) != ".lua" {
			return err
		}
		source, err := fs.ReadFile(folder, file)
		if err == nil {
			_, err = redis.Do("SCRIPT", "LOAD", string(source))
		}
		return err
	})).To(Succeed())
})
