package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/internal/mailsink"
	"github.com/wildout/wildout/internal/scenarios"
)

// Of hack/e2e/services, in each site.
const (
	servicesName = "site" // pod and Service
	controlPort  = 8080
	mailPort     = 2525
	databasePort = 5432
)

var servicesPods = client.MatchingLabels{"wildout.dev/e2e": servicesName}

// services are the services of a site, by their control API.
type services struct {
	url string

	mu    sync.Mutex
	taken []mailsink.Message // what was fetched
}

func startServices(namespace, password string) *services {
	GinkgoHelper()
	Eventually(func() error { // the ServiceAccount may not be there yet
		return kube.Create(ctx, servicesPod(namespace, password))
	}).Should(Succeed())
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: servicesName},
		Spec:       corev1.ServiceSpec{Selector: servicesPods},
	}
	for _, port := range []int32{controlPort, mailPort, databasePort} {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", port), Port: port, TargetPort: intstr.FromInt32(port)})
	}
	Expect(kube.Create(ctx, service)).To(Succeed())
	Eventually(func() error { _, err := readyPod(ctx, namespace, servicesPods); return err }, 2*time.Minute).Should(Succeed())
	return &services{url: "http://" + forward(namespace, servicesPods, controlPort)}
}

func servicesPod(namespace, password string) *corev1.Pod {
	user, no, yes := int64(65532), false, true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: servicesName, Labels: servicesPods},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "services", Image: set.image("site"), ImagePullPolicy: corev1.PullIfNotPresent,
				Env: []corev1.EnvVar{{Name: "POSTGRES_PASSWORD", Value: password}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 30, TimeoutSeconds: 5, // it stays ready when it is slow
					ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(controlPort)}}},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "tmp", MountPath: "/tmp"}},
			}},
			Volumes: []corev1.Volume{emptyDir("data"), emptyDir("tmp")},
		},
	}
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// ask calls the control API, again while the way to it is broken, and reads
// the answer into a value if there is one. All that it asks for may be asked
// twice.
func (s *services) ask(method, path string, into any) {
	GinkgoHelper()
	Eventually(func() error {
		request, err := http.NewRequestWithContext(ctx, method, s.url+path, http.NoBody)
		if err != nil {
			return err
		}
		response, err := servicesClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
		}
		if err != nil || into == nil {
			return err
		}
		return json.Unmarshal(text, into)
	}).Should(Succeed())
}

// PostgreSQL may take its time to start and to stop.
var servicesClient = &http.Client{Timeout: time.Minute}

func (s *services) webhooks() (ids []string) {
	GinkgoHelper()
	s.ask(http.MethodGet, "/webhooks", &ids)
	return ids
}

func (s *services) mail() scenarios.Mail { return mailAPI{s} }

func (s *services) database() scenarios.Database { return databaseAPI{s} }

type mailAPI struct{ *services }

func (m mailAPI) Open()  { GinkgoHelper(); m.ask(http.MethodPost, "/smtp/open", nil) }
func (m mailAPI) Close() { GinkgoHelper(); m.ask(http.MethodPost, "/smtp/close", nil) }

func (m mailAPI) Offers() (all map[string]int) {
	GinkgoHelper()
	m.ask(http.MethodGet, "/offers", &all)
	return all
}

// Messages fetches those that are new since the last time.
func (m mailAPI) Messages() []mailsink.Message {
	GinkgoHelper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var more []mailsink.Message
	m.ask(http.MethodGet, fmt.Sprintf("/mails?since=%d", len(m.taken)), &more)
	m.taken = append(m.taken, more...)
	return append([]mailsink.Message{}, m.taken...)
}

type databaseAPI struct{ *services }

func (d databaseAPI) Stop()   { GinkgoHelper(); d.ask(http.MethodPost, "/database/stop", nil) }
func (d databaseAPI) Start()  { GinkgoHelper(); d.ask(http.MethodPost, "/database/start", nil) }
func (d databaseAPI) Pause()  { GinkgoHelper(); d.ask(http.MethodPost, "/database/pause", nil) }
func (d databaseAPI) Resume() { GinkgoHelper(); d.ask(http.MethodPost, "/database/resume", nil) }
