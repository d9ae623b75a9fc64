package tokenreview

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxAnswerBytes is far more than a TokenReview takes.
const maxAnswerBytes = 1 << 20

// apiServer asks an API server with the files that a pod has.
type apiServer struct {
	url               string
	tokenFile, caFile string

	mu          sync.Mutex
	authorities []byte // what caFile held when client was made
	client      *http.Client
}

// review returns what the API server says of a token. An error means that it
// did not say anything.
func (s *apiServer) review(ctx context.Context, token, audience string) (*authenticationv1.TokenReviewStatus, error) {
	client, err := s.currentClient()
	if err != nil {
		return nil, err
	}
	request, err := s.newRequest(ctx, token, audience)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("it does not answer: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("its answer stopped half way: %w", err)
	}
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK {
		return nil, refusal(response, answer, token)
	}
	var review authenticationv1.TokenReview
	if json.Unmarshal(answer, &review) != nil || review.Kind != "TokenReview" {
		return nil, fmt.Errorf("its answer is no TokenReview: does %s belong to an API server?", s.url)
	}
	return &review.Status, nil
}

func (s *apiServer) newRequest(ctx context.Context, token, audience string) (*http.Request, error) {
	own, err := os.ReadFile(s.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the token to ask it with: %w", err)
	}
	body, err := json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	})
	if err != nil {
		return nil, err
	}
	path := s.url + "/apis/authentication.k8s.io/v1/tokenreviews"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(own)))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// currentClient returns a client that trusts what caFile holds now.
func (s *apiServer) currentClient() (*http.Client, error) {
	authorities, err := os.ReadFile(s.caFile)
	if err != nil {
		return nil, fmt.Errorf("read its certificate authority: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil && bytes.Equal(authorities, s.authorities) {
		return s.client, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("no certificate in PEM in %s", s.caFile)
	}
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.authorities = authorities
	s.client = &http.Client{
		// No proxy: the token goes to the API server and nowhere else.
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: maxAsking,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s.client, nil
}

// close ends the connections that wait for a next review.
func (s *apiServer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
}

// refusal says what an answer other than a TokenReview means.
func refusal(response *http.Response, answer []byte, token string) error {
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("it does not accept this process's own token (401): look at the ServiceAccount of the pod")
	case http.StatusForbidden:
		return errors.New("it does not let this process ask (403): bind the ClusterRole system:auth-delegator to the ServiceAccount of the pod")
	}
	var status metav1.Status
	if json.Unmarshal(answer, &status) != nil || status.Message == "" {
		return fmt.Errorf("it answers %s", response.Status)
	}
	message := strings.ReplaceAll(status.Message, token, "…")
	return fmt.Errorf("it answers %s: %.200s", response.Status, message)
}
