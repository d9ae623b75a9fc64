package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// forward makes a port of a ready pod with these labels reachable at the
// returned address until the spec (or the suite) has ended. When the pod goes,
// another one takes its place.
func forward(namespace string, labels client.MatchingLabels, port int) (address string) {
	GinkgoHelper()
	local := freePort()
	until, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	DeferCleanup(func() { cancel(); <-over })
	go func() {
		defer close(over)
		for until.Err() == nil {
			if err := forwardOnce(until, namespace, labels, local, port); err != nil {
				GinkgoWriter.Printf("port-forward to %v of %s: %v\n", labels, namespace, err)
			}
			select {
			case <-until.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	address = fmt.Sprintf("127.0.0.1:%d", local)
	Eventually(func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	}).Should(Succeed())
	return address
}

// forwardOnce forwards to one pod until that is gone.
func forwardOnce(until context.Context, namespace string, labels client.MatchingLabels, local, port int) error {
	pod, err := readyPod(until, namespace, labels)
	if err != nil {
		return err
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	url := set.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	enough := sync.OnceFunc(func() { close(stop) })
	defer context.AfterFunc(until, enough)()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	f, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("%d:%d", local, port)}, stop, make(chan struct{}), io.Discard, io.Discard)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	defer close(over)
	// A connection to what is gone may hang: somebody has to notice.
	go func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Second):
			}
			var now corev1.Pod
			if err := kube.Get(until, client.ObjectKeyFromObject(pod), &now); err != nil || now.UID != pod.UID || !ready(&now) {
				enough()
				return
			}
		}
	}()
	return f.ForwardPorts()
}

// readyPod prefers pods on the node that no spec stops.
func readyPod(until context.Context, namespace string, labels client.MatchingLabels) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := kube.List(until, &pods, client.InNamespace(namespace), labels); err != nil {
		return nil, err
	}
	var found *corev1.Pod
	for i := range pods.Items {
		if pod := &pods.Items[i]; ready(pod) && (found == nil || pod.Spec.NodeName < found.Spec.NodeName) {
			found = pod
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("none of %d pods is ready", len(pods.Items))
}

func ready(pod *corev1.Pod) bool {
	if !pod.DeletionTimestamp.IsZero() {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func freePort() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
