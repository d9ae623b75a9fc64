package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// tunnel connects to the pods of a component by way of the API server and the
// kubelet, as `kubectl port-forward` does, but opens no port on this machine.
type tunnel struct {
	front *front

	mu   sync.Mutex
	open httpstream.Connection // to one pod; nil: none
	port int32
	next int // number of a connection
}

// dial opens a connection. A pod that is gone is replaced by another one.
func (t *tunnel) dial(ctx context.Context) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.connect(ctx); err != nil {
		return nil, err
	}
	t.next++
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(t.port)))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(t.next))
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	trouble, err := t.open.CreateStream(headers)
	if err != nil {
		return nil, t.failed(err)
	}
	_ = trouble.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.open.CreateStream(headers)
	if err != nil {
		return nil, t.failed(err)
	}
	open := t.open
	c := &stream{Stream: data, peer: address(t.front.service.Name), forget: func() { open.RemoveStreams(data, trouble) }}
	go c.listen(trouble)
	return c, nil
}

// connect makes sure that there is a way to a pod.
func (t *tunnel) connect(ctx context.Context) error {
	if t.open != nil {
		select {
		case <-t.open.CloseChan():
			t.open = nil
		default:
			return nil
		}
	}
	pod, port, err := t.front.pod(ctx)
	if err != nil {
		return err
	}
	dialer, err := t.dialer(pod)
	if err != nil {
		return err
	}
	open, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if apierrors.IsForbidden(err) || err != nil && strings.Contains(err.Error(), "orbidden") { // an upgrade that is refused has no type
		return &Error{Forbidden, fmt.Errorf("you may not connect to pods of the namespace %s (create pods/portforward): say with --url and --gateway where the console and the gateway answer: %w", pod.Namespace, err)}
	}
	if err != nil {
		return &Error{Unreachable, fmt.Errorf("connect to the pod %s through the API server: %w", pod.Name, err)}
	}
	t.open, t.port = open, port
	return nil
}

// dialer speaks WebSocket, or SPDY where the API server is older than that.
func (t *tunnel) dialer(pod *corev1.Pod) (httpstream.Dialer, error) {
	config := rest.CopyConfig(t.front.cluster.config)
	config.GroupVersion = &corev1.SchemeGroupVersion
	url, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	url = url.JoinPath("api", "v1", "namespaces", pod.Namespace, "pods", pod.Name, "portforward")
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	return portforward.NewFallbackDialerForStreaming(websocket, older, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// failed gives up the way to the pod: the next connection looks for another.
func (t *tunnel) failed(err error) error {
	_ = t.open.Close()
	t.open = nil
	return &Error{Unreachable, fmt.Errorf("connect through the API server: %w", err)}
}

// stream is a connection to a port of a pod.
type stream struct {
	httpstream.Stream
	peer   address
	forget func()

	mu      sync.Mutex
	trouble error // what the kubelet says of it
}

// listen waits for what the kubelet has to say.
func (s *stream) listen(trouble io.Reader) {
	words, err := io.ReadAll(trouble)
	if err != nil || len(words) == 0 {
		return
	}
	s.mu.Lock()
	s.trouble = &Error{Unreachable, fmt.Errorf("connect to %s: %s", s.peer, strings.TrimSpace(string(words)))}
	s.mu.Unlock()
	_ = s.Reset() // nothing comes any more
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if err != nil && n == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.trouble != nil {
			err = s.trouble
		}
	}
	return n, err
}

// Close implements net.Conn. To close a stream only says that nothing more is
// sent.
func (s *stream) Close() error {
	defer s.forget()
	return s.Reset()
}

// LocalAddr and RemoteAddr implement net.Conn.
func (s *stream) LocalAddr() net.Addr { return s.peer }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return s.peer }

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn: they do
// nothing. net/http closes the connection of a request that takes too long.
func (s *stream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

type address string

func (a address) Network() string { return "kubernetes" }
func (a address) String() string  { return "the Service " + string(a) }
