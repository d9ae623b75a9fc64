package servicetest

import (
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
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// kubernetesAccess is how an API server and its clients know each other.
type kubernetesAccess struct {
	token     string // of an administrator
	tokenFile string // the users that the API server knows
	keyFile   string // signs the tokens of ServiceAccounts
	certDir   string // the API server makes its certificate here
	caFile    string // that certificate with its issuer's
	client    *http.Client
}

func newKubernetesAccess(dir string) (*kubernetesAccess, error) {
	a := &kubernetesAccess{
		token:     rand.Text(),
		tokenFile: filepath.Join(dir, "tokens.csv"),
		keyFile:   filepath.Join(dir, "service-accounts.key"),
		certDir:   dir,
		caFile:    filepath.Join(dir, "apiserver.crt"),
	}
	// Each handshake reads the certificate: it is there once the server listens.
	a.client = &http.Client{Transport: &http.Transport{DialTLSContext: a.dial}}
	if err := os.WriteFile(a.tokenFile, []byte(a.token+`,test,test,"system:masters"`+"\n"), 0o600); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
	return a, os.WriteFile(a.keyFile, pem.EncodeToMemory(block), 0o600)
}

func (a *kubernetesAccess) flags() []string {
	return []string{
		"--cert-dir", a.certDir,
		"--token-auth-file", a.tokenFile,
		"--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file", a.keyFile,
		"--service-account-signing-key-file", a.keyFile,
	}
}

func (a *kubernetesAccess) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	certificates, err := os.ReadFile(a.caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificates) {
		return nil, errors.New("no certificate in " + a.caFile)
	}
	return (&tls.Dialer{Config: &tls.Config{RootCAs: pool}}).DialContext(ctx, network, addr)
}

// expectOK returns an error unless the URL answers with 200.
func expectOK(ctx context.Context, client *http.Client, url, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return err
}
