package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/internal/scenarios"
	"github.com/wildout/wildout/runtime/event"
)

// cluster is the ground that a cluster is: each site has a namespace with
// functions, a gateway, and the services of hack/e2e/services. The operator and
// Redis are those of the release. Events come through the gateway.
type cluster struct{ namespaces []string }

// Pace is that of two cores which run the control plane, all nodes and some
// thirty pods besides. A pod that is killed takes seconds to be replaced.
func (*cluster) Pace() scenarios.Pace {
	return scenarios.Pace{Slower: 3, Kills: 4, Lease: 10 * time.Second}
}

func (c *cluster) Build(o scenarios.Order) scenarios.Place {
	GinkgoHelper()
	name := "e2e-s" + strings.ToLower(rand.Text()[:6])
	makeNamespace(name)
	c.namespaces = append(c.namespaces, name)
	DeferCleanup(func() {
		if !set.keep { // what is in it ends while the next one is made
			Expect(client.IgnoreNotFound(kube.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))).To(Succeed())
		}
	})
	password := rand.Text()
	makeSecret(name, "wildout-redis", map[string]string{"url": secret(home, "wildout-redis", "url")})
	makeSecret(name, "wildout-database", map[string]string{"url": databaseURL(password, servicesName)})
	makeSecret(name, "wildout-smtp", map[string]string{"url": fmt.Sprintf("smtp://%s:%d?starttls=off", servicesName, mailPort), "from": scenarios.Sender})
	services := startServices(name, password)
	publish := installGateway(name)
	redis, err := url.Parse(secret(home, "wildout-redis", "url"))
	Expect(err).NotTo(HaveOccurred())
	redis.Host = forward(home, redisPods, 6379)
	return scenarios.Place{
		Namespace: name, RedisURL: redis.String(), DatabaseURL: databaseURL(password, forward(name, servicesPods, databasePort)),
		Publish: publish, Webhooks: services.webhooks, Mail: services.mail(), Database: services.database(),
		Runners: &runnerPods{namespace: name, changes: o.Changes},
	}
}

// clear waits until nothing is left of the sites.
func (c *cluster) clear() {
	GinkgoHelper()
	for _, name := range c.namespaces {
		if !set.keep {
			removeNamespace(name)
		}
	}
}

func databaseURL(password, host string) string {
	address := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Host: host, Path: "/postgres"}
	return address.String()
}

func makeSecret(namespace, name string, data map[string]string) {
	GinkgoHelper()
	Expect(kube.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data})).To(Succeed())
}

// installGateway brings a gateway to a namespace, and the tables to its
// database, with the chart. It returns what publishes through the gateway.
func installGateway(namespace string) func(context.Context, *event.Event) error {
	GinkgoHelper()
	args := []string{"install", release, "charts/wildout", "--namespace", namespace, "--wait", "--timeout", "3m",
		"--set", "crds.enabled=false,manager.enabled=false,migrations.enabled=true,gateway.replicas=1,gateway.resources.requests.cpu=20m"}
	execute(repository, filepath.Join("bin", "helm4"), append(args, set.helmImages()...)...)
	front := fmt.Sprintf("http://%s/e/%s", forward(namespace, gatewayPods, 8288), secret(namespace, release+"-gateway-key", "key"))
	return func(ctx context.Context, e *event.Event) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return publishTo(ctx, front, e)
	}
}

// publishTo sends an event in the way of Inngest's clients: again until there
// is an answer, with a seed that makes it one request.
func publishTo(ctx context.Context, front string, e *event.Event) error {
	message := map[string]any{"name": e.Type, "data": e.Data}
	if e.ID != "" {
		message["id"] = e.ID
	}
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	entropy := make([]byte, 10)
	_, _ = rand.Read(entropy) // never fails
	seed := fmt.Sprintf("%d,%s", time.Now().UnixMilli(), base64.StdEncoding.EncodeToString(entropy))
	for {
		err := publishOnce(ctx, front, seed, body, e)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("publish %s: %w", e.Type, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func publishOnce(ctx context.Context, front, seed string, body []byte, e *event.Event) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, front, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Inngest-Event-ID-Seed", seed)
	response, err := httpClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct{ IDs []string }
	if response.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil || len(answer.IDs) != 1 {
		return fmt.Errorf("the gateway answers %s: %s", response.Status, text)
	}
	e.ID = answer.IDs[0]
	return nil
}
