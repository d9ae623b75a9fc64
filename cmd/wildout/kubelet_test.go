package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// startKubelet starts what a kubelet is to the API server when somebody
// forwards a port: the ports of its pods are those of this machine. It returns
// its own port.
func startKubelet(t *testing.T) int {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/portForward/") {
			http.NotFound(w, r)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			return
		}
		streams := make(chan httpstream.Stream)
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			go func() { streams <- s }()
			return nil
		})
		if conn == nil {
			return
		}
		defer conn.Close()
		troubles := map[string]httpstream.Stream{}
		datas := map[string]httpstream.Stream{}
		for {
			select {
			case <-conn.CloseChan():
				return
			case s := <-streams:
				id := s.Headers().Get(corev1.PortForwardRequestIDHeader)
				if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
					troubles[id] = s
				} else {
					datas[id] = s
				}
				if troubles[id] != nil && datas[id] != nil {
					go forward(troubles[id], datas[id])
				}
			}
		}
	}))
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}

// forward connects a stream to its port.
func forward(trouble, data httpstream.Stream) {
	defer trouble.Close()
	defer data.Close()
	conn, err := net.Dial("tcp", "127.0.0.1:"+data.Headers().Get(corev1.PortHeader))
	if err != nil {
		fmt.Fprint(trouble, err)
		return
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, data) // it ends with the connection
		conn.Close()
	}()
	_, _ = io.Copy(data, conn)
}
