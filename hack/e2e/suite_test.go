package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/wildout/wildout/controllers"
)

const (
	repository = "../.."
	// home is the namespace of the release, and of the specs' functions.
	home    = "wildout-e2e"
	release = "wildout"
)

var (
	ctx     = context.Background()
	set     settings
	config  *rest.Config
	kube    client.WithWatch
	archive string // folder of the image archives
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second) // what a condition may take
	SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	RunSpecs(t, "e2e")
}

// What everything needs: the images, and the release with its Redis.
var _ = BeforeSuite(func() {
	ctrl.SetLogger(logr.Discard())
	var err error
	set, err = readSettings()
	Expect(err).NotTo(HaveOccurred(), "README.md says what is needed")
	config, err = ctrlconfig.GetConfig()
	Expect(err).NotTo(HaveOccurred(), "the cluster of the current kubeconfig")
	config.QPS, config.Burst = 100, 200
	scheme, err := controllers.NewScheme()
	Expect(err).NotTo(HaveOccurred())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	kube, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	archive = GinkgoT().TempDir()
	if set.load != "" {
		buildImages()
	}
	makeNamespace(home)
	makeVolume(home)
	install()
})

var _ = AfterSuite(func() {
	if !set.keep && kube != nil {
		uninstall()
	}
})

// buildImages packs the programs and brings them to the nodes.
func buildImages() {
	GinkgoHelper()
	folder, err := filepath.Abs(archive)
	Expect(err).NotTo(HaveOccurred())
	for _, command := range []string{".", "./site"} { // the product's, and what a site needs beside it
		execute(filepath.Join(repository, "hack", "images"), "go", "run", command, "-o", folder, "-prefix", set.prefix, "-version", set.tag)
	}
	loadImages(folder)
}

func loadImages(folder string) {
	GinkgoHelper()
	archives, err := filepath.Glob(filepath.Join(folder, "*.tar"))
	Expect(err).NotTo(HaveOccurred())
	Expect(archives).NotTo(BeEmpty())
	execute(".", "sh", "-c", set.load+" "+strings.Join(archives, " "))
}

// execute runs a program and returns what it prints.
func execute(dir, name string, args ...string) string {
	GinkgoHelper()
	out, err := printed(dir, name, args...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

func printed(dir, name string, args ...string) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(bounded, name, args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// helm runs Helm 4 in the namespace of the release.
func helm(args ...string) string {
	GinkgoHelper()
	return execute(repository, filepath.Join("bin", "helm4"), append(args, "--namespace", home)...)
}

// chart are the arguments of an installation or an upgrade.
func chart(more ...string) []string {
	args := []string{release, "charts/wildout", "--values", "charts/wildout/values-dev.yaml", "--wait", "--timeout", "3m",
		"--set", "redis.embedded.persistence.enabled=true", "--set", "manager.replicas=2", "--set", "gateway.replicas=2", "--set", "manager.logLevel=info"}
	return append(append(args, set.helmImages()...), more...)
}

func install() {
	GinkgoHelper()
	// Definitions that an earlier release left are taken over.
	notes := helm(append([]string{"upgrade", "--install", "--take-ownership"}, chart()...)...)
	GinkgoWriter.Println(notes)
}
