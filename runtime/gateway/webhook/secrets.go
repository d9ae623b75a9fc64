package webhook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// secretsAge is how old secrets may be when they are used: a rotated Secret
	// of Kubernetes takes longer than that to be in its volume.
	secretsAge = time.Second
	// maxSecretBytes bounds a file: a wrong path may lead to anything.
	maxSecretBytes = 64 << 10
)

// secrets are the keys of one webhook, read from files. It is safe for use by
// many goroutines.
type secrets struct {
	files []string
	parse func(secret string) ([]byte, error)

	mu     sync.Mutex
	readAt time.Time
	keys   [][]byte
	err    error
}

// current returns the keys as the files have them, at least one. They are
// never used longer than they are there: a secret that was taken away counts
// no more, even if that leaves none.
func (s *secrets) current(now time.Time) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.readAt); age < 0 || age >= secretsAge || s.readAt.IsZero() {
		s.keys, s.err = s.read()
		s.readAt = now
	}
	return s.keys, s.err
}

func (s *secrets) read() ([][]byte, error) {
	var keys [][]byte
	var missing []string
	for i, file := range s.files {
		text, err := readSecret(file)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, file)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("secretFiles[%d]: %w", i, err)
		}
		n := 0
		for line := range strings.Lines(text) {
			n++
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			key, err := s.parse(line)
			if err != nil { // without the secret
				return nil, fmt.Errorf("secretFiles[%d]: the secret in line %d of %s %w", i, n, file, err)
			}
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		return keys, nil
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("secretFiles: there is no secret: %s is not there", strings.Join(missing, ", "))
	}
	return nil, fmt.Errorf("secretFiles: there is no secret: %s is empty", strings.Join(s.files, ", "))
}

func readSecret(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > maxSecretBytes {
		return "", fmt.Errorf("%s has %d bytes, which is more than secrets have", file, info.Size())
	}
	text, err := os.ReadFile(file)
	return string(text), err
}
