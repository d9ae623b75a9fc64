package controllers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers"
	"github.com/wildout/wildout/internal/servicetest"
)

// runnerImage is the standard runner's in these tests; nothing is ever pulled.
const runnerImage = "wildout.test/runner:1"

// soon is within which a condition must show: mostly within a second, but the
// machine has other things to do.
const soon = 30 * time.Second

// starts is within which an operator that has just begun acts: it has no time
// to keep, but a machine with other things to do.
const starts = 60 * time.Second

var (
	ctx        = context.Background()
	kubernetes *servicetest.Kubernetes
	// admin may do everything; rights are what the operator has with the
	// API server, by its own service account.
	admin     client.Client
	rights    *rest.Config
	shared    *servicetest.Redis
	spaces    atomic.Int64
	theOne    *operatorProcess
	systemEnv = "wildout-system"
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "controllers")
}

var _ = BeforeSuite(func() {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(logs(), nil)))
	kubernetes = servicetest.StartKubernetes(GinkgoTB())
	scheme, err := controllers.NewScheme()
	Expect(err).NotTo(HaveOccurred())
	admin, err = client.New(restConfig(kubernetes.Token), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	install("../config/crd")
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemEnv}})).To(Succeed())
	install("../config/rbac")
	rights = restConfig(operatorToken())
	shared = servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
	theOne = startOperator()
})

var _ = AfterSuite(func() {
	if theOne != nil {
		theOne.stop()
	}
})

// logs is where the operator's log goes: to the report of a test that fails, or
// to the standard error with WILDOUT_TEST_LOG set.
func logs() io.Writer {
	if os.Getenv("WILDOUT_TEST_LOG") != "" {
		return os.Stderr
	}
	return GinkgoWriter
}

func restConfig(token string) *rest.Config {
	return &rest.Config{Host: kubernetes.URL, BearerToken: token, QPS: 200, Burst: 400,
		TLSClientConfig: rest.TLSClientConfig{CAFile: kubernetes.CAFile}}
}

// install creates the objects of a folder.
func install(folder string) {
	GinkgoHelper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(paths).NotTo(BeEmpty())
	for _, path := range paths {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		for _, object := range readObjects(path) {
			Expect(client.IgnoreAlreadyExists(admin.Create(ctx, object))).To(Succeed(), path)
		}
	}
	Eventually(func() error { return admin.List(ctx, functionList()) }).Should(Succeed())
}

func readObjects(path string) (objects []*unstructured.Unstructured) {
	GinkgoHelper()
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	for _, document := range documents(text) {
		object := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal(document, &object.Object)).To(Succeed(), path)
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
	return objects
}

// operatorToken is a token of the service account that config/rbac gives its
// rights to.
func operatorToken() string {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "wildout-manager", Namespace: systemEnv}}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, account))).To(Succeed())
	request := &authenticationv1.TokenRequest{}
	Expect(admin.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return request.Status.Token
}

// operatorProcess is an operator in the process of the tests.
type operatorProcess struct {
	cancel context.CancelFunc
	ended  chan error
}

func startOperator(change ...func(*controllers.Options)) *operatorProcess {
	GinkgoHelper()
	scheme, err := controllers.NewScheme()
	Expect(err).NotTo(HaveOccurred())
	skip := true
	mgr, err := ctrl.NewManager(rights, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(nil), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &skip},
	})
	Expect(err).NotTo(HaveOccurred())
	o := controllers.Options{RunnerImage: runnerImage, RedisSecret: "wildout-redis", PollInterval: 250 * time.Millisecond,
		SecretInterval: 500 * time.Millisecond, StatusInterval: time.Second, DeletionTimeout: 4 * time.Second,
		TakeoverWindow: time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	m := &operatorProcess{ended: make(chan error, 1)}
	var run context.Context
	run, m.cancel = context.WithCancel(ctx)
	Expect(controllers.Setup(run, mgr, o, slog.New(slog.NewTextHandler(logs(), nil)))).To(Succeed())
	go func() { m.ended <- mgr.Start(run) }()
	return m
}

func (m *operatorProcess) stop() {
	GinkgoHelper()
	m.cancel()
	Eventually(m.ended, 40*time.Second).Should(Receive(BeNil()))
}

// restart ends the operator, and starts another one.
func restart() {
	GinkgoHelper()
	theOne.stop()
	theOne = startOperator()
}

// newSpace makes a namespace with the Redis Secret, in which every pod must be
// within the restricted standard.
func newSpace(url string) string {
	GinkgoHelper()
	name := fmt.Sprint("space-", spaces.Add(1))
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}})).To(Succeed())
	if url != "" {
		setSecret(name, url)
	}
	DeferCleanup(func() { // what is left would be looked after until the end
		Expect(admin.DeleteAllOf(ctx, &v1alpha1.WildoutFunction{}, client.InNamespace(name))).To(Succeed())
		Expect(admin.DeleteAllOf(ctx, &v1alpha1.WildoutEventType{}, client.InNamespace(name))).To(Succeed())
	})
	return name
}

// setSecret writes the URL of Redis.
func setSecret(space, url string) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wildout-redis", Namespace: space}, StringData: map[string]string{"url": url}}
	err := admin.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = admin.Update(ctx, secret)
	}
	Expect(err).NotTo(HaveOccurred())
}
