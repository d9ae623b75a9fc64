package config

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/gateway"
)

const (
	minKey = 16
	maxKey = 512
)

// ring finds the sender of a key. It is looked up by the beginning of the
// key's digest, and then compared in constant time: how long it takes says
// nothing of the keys there are, and does not depend on how many they are.
type ring map[[8]byte]holder

// holder is who has the key with this digest.
type holder struct {
	digest [sha256.Size]byte
	sender *gateway.Sender
}

// add returns the sender that has the key already.
func (r ring) add(key string, s *gateway.Sender) (other *gateway.Sender) {
	digest := sha256.Sum256([]byte(key))
	place := [8]byte(digest[:8])
	if have, ok := r[place]; ok && have.sender != s {
		return have.sender
	}
	r[place] = holder{digest, s}
	return nil
}

// Authenticate implements gateway.Authenticator for keys.
func (c *Config) Authenticate(_ context.Context, credential string) (*gateway.Sender, error) {
	if len(credential) > maxKey { // a token, or worse
		return nil, gateway.ErrNotMine
	}
	digest := sha256.Sum256([]byte(credential))
	found := c.keys[[8]byte(digest[:8])] // none: compared all the same, with zeros
	if subtle.ConstantTimeCompare(found.digest[:], digest[:]) != 1 {
		return nil, gateway.ErrNotMine
	}
	return found.sender, nil
}

// readKeys reads the keys of a folder, by file, and says what is wrong with
// it. Names that begin with a dot are what Kubernetes needs for itself.
func readKeys(folder string) (keys map[string]string, faults []error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, []error{fmt.Errorf("the folder with the keys cannot be read: %w", err)}
	}
	keys = map[string]string{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || entry.IsDir() {
			continue
		}
		file := filepath.Join(folder, entry.Name())
		key, err := readKey(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		keys[file] = key
	}
	if len(entries) == 0 || len(keys) == 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("there is no key in %s: each of its files is one", folder))
	}
	return keys, faults
}

func readKey(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("a key cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKey+64))
	if err != nil {
		return "", fmt.Errorf("a key cannot be read: %w", err)
	}
	key := strings.TrimRight(string(text), "\r\n")
	if err := checkKey(key); err != nil {
		return "", fmt.Errorf("%s %w", file, err)
	}
	return key, nil
}

// unreserved are the characters that stand for themselves in a URL (RFC 3986),
// of which the key is a part.
const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

func checkKey(key string) error {
	const advice = "make one with: openssl rand -hex 24"
	switch {
	case key == "":
		return errors.New("is empty: " + advice)
	case len(key) < minKey:
		return fmt.Errorf("has a key of %d characters, want %d or more: %s", len(key), minKey, advice)
	case len(key) > maxKey:
		return fmt.Errorf("has a key of more than %d characters: is it the right file?", maxKey)
	case slices.ContainsFunc([]rune(key), func(r rune) bool { return !strings.ContainsRune(unreserved, r) }):
		return errors.New("has a key with characters that have a meaning in a URL: want letters, digits and - . _ ~ alone, as it is a part of the path; " + advice)
	}
	return nil
}
