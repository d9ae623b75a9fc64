package standard

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// secretsIn reads signing secrets from the files of a folder, such as a
// mounted Secret. They are read for each request: a secret may be rotated.
func secretsIn(dir string) func(name string) ([]string, error) {
	if dir == "" {
		return nil
	}
	return func(name string) ([]string, error) {
		if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return nil, fmt.Errorf("%q is no name of a secret", name)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			return nil, nil // the handler says that there is none
		}
		if err != nil {
			return nil, fmt.Errorf("read the signing secret %s: %w", name, err)
		}
		return strings.Fields(string(text)), nil
	}
}
