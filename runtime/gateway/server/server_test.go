package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/gateway/server"
)

// start serves handler until the test ends, or until stop is called, which
// returns what Serve did.
func start(t *testing.T, handler http.HandlerFunc, change ...func(*server.Options)) (addr string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := server.Options{Listener: listener, Handler: handler}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, o) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return listener.Addr().String(), stop
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, "hello")
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ends reports how long it took until the server closed the connection.
func ends(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the server holds the connection")
	}
	return time.Since(began)
}

func TestSlowClientsAreCutOff(t *testing.T) {
	addr, _ := start(t, hello, func(o *server.Options) {
		o.HeaderTimeout, o.RequestTimeout = 300*time.Millisecond, 3*time.Second
	})
	for name, c := range map[string]struct {
		first       string
		least, most time.Duration
	}{
		"nothing at all":    {"", 250 * time.Millisecond, 2 * time.Second},
		"half a header":     {"POST / HTTP/1.1\r\nHost: x\r\n", 250 * time.Millisecond, 2 * time.Second},
		"half a body":       {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", 2900 * time.Millisecond, 6 * time.Second},
		"a body in chunks":  {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 250 * time.Millisecond, 6 * time.Second},
		"an endless header": {"POST / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10), 0, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, addr)
			stop := make(chan struct{})
			defer close(stop)
			go func() { // a byte now and then
				_, err := io.WriteString(conn, c.first)
				for err == nil {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
						_, err = conn.Write([]byte("x"))
					}
				}
			}()
			if took := ends(t, conn); took < c.least || took > c.most {
				t.Errorf("cut off after %s, want %s to %s", took, c.least, c.most)
			}
		})
	}
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	addr, _ := start(t, hello, func(o *server.Options) { o.MaxConnections = 3 })
	ask := func(conn net.Conn) error {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err == nil {
			var response *http.Response
			if response, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				response.Body.Close()
			}
		}
		return err
	}
	conns := make([]net.Conn, 6)
	for i := range conns {
		conns[i] = dial(t, addr)
		if err := ask(conns[i]); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		time.Sleep(20 * time.Millisecond) // it is idle now
	}
	for i, conn := range conns {
		if err := ask(conn); (err == nil) != (i >= 3) {
			t.Errorf("connection %d of 6 with room for 3: %v", i, err)
		}
	}
}

func TestBusyConnectionsAreNotClosed(t *testing.T) {
	release := make(chan struct{})
	addr, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		hello(w, r)
	}, func(o *server.Options) { o.MaxConnections = 2 })
	answers := make(chan error, 4)
	for range 4 {
		go func() {
			response, err := http.Get("http://" + addr)
			if err == nil {
				response.Body.Close()
			}
			answers <- err
		}()
	}
	time.Sleep(200 * time.Millisecond)
	close(release)
	for range 4 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestStopLosesNoAnswer(t *testing.T) {
	var served atomic.Int64
	addr, stop := start(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		served.Add(1)
		hello(w, r)
	}, func(o *server.Options) { o.Drain = 500 * time.Millisecond })
	var answered atomic.Int64
	var leaves atomic.Pointer[time.Time] // when connections are refused from
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				response, err := client.Post("http://"+addr, "text/plain", io.NopCloser(strings.NewReader("x"))) // which cannot be repeated
				at := leaves.Load()
				if err != nil && (at == nil || time.Now().Before(*at)) {
					t.Errorf("a request was refused while the server drains: %v", err)
				}
				if err != nil {
					return
				}
				if at != nil && time.Until(*at) < 200*time.Millisecond && !response.Close {
					t.Error("an answer keeps its connection, though the server is about to stop")
				}
				text, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || string(text) != "hello" {
					t.Errorf("half an answer: %q, %v", text, err)
				}
				answered.Add(1)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	at := time.Now().Add(450 * time.Millisecond)
	leaves.Store(&at)
	if err := stop(); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if answered.Load() != served.Load() || answered.Load() < 100 {
		t.Errorf("%d requests were served, %d answered", served.Load(), answered.Load())
	}
}

func TestStopSaysWhatItCutOff(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	addr, stop := start(t, func(http.ResponseWriter, *http.Request) { close(begun); <-release }, func(o *server.Options) { o.Grace = 100 * time.Millisecond })
	go func() {
		if response, err := http.Get("http://" + addr); err == nil {
			response.Body.Close()
		}
	}()
	<-begun
	if err := stop(); err == nil || !strings.Contains(err.Error(), "took longer than 100ms") {
		t.Errorf("error %v", err)
	}
}

// writeCertificate makes a certificate for name and writes it with its key.
func writeCertificate(t *testing.T, dir, name string, until time.Time) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, pool = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), x509.NewCertPool()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(cert)
	for file, text := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, pool
}

func TestCertificatesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, first := writeCertificate(t, dir, "one.example", time.Now().Add(time.Hour))
	certificate, err := server.OpenCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, hello, func(o *server.Options) { o.Certificate = certificate })
	try := func(name string, pool *x509.CertPool, version uint16) error {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: name, MaxVersion: version})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := try("one.example", first, 0); err != nil {
		t.Error(err)
	}
	if err := try("one.example", first, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: first, ServerName: "one.example"}}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 2 {
		t.Errorf("protocol %s", response.Proto)
	}
	_, _, second := writeCertificate(t, dir, "two.example", time.Now().Add(time.Hour))
	if err := certificate.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := try("two.example", second, 0); err != nil {
		t.Error(err)
	}
	writeCertificate(t, dir, "old.example", time.Now().Add(-time.Minute))
	if err := certificate.Reload(); err == nil || !strings.Contains(err.Error(), "ran out") {
		t.Errorf("error %v of a certificate that ran out", err)
	}
	if err := os.WriteFile(keyFile, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := certificate.Reload(); err == nil || !strings.Contains(err.Error(), "tls.key") {
		t.Errorf("error %v of a bad key", err)
	}
	if err := try("two.example", second, 0); err != nil {
		t.Errorf("the last good certificate is gone: %v", err)
	}
}
