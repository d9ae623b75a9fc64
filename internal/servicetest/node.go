package servicetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// nodeFiles say what `npm ci` installs; they are in hack/node.
var nodeFiles = []string{"package.json", "package-lock.json", ".npmrc"}

// installNode installs once in a process.
var installNode = sync.OnceValues(installNodeModules)

// NodeModules returns a folder with the npm packages of hack/node in its
// node_modules: the Inngest client, playwright-core, axe-core. They are
// installed once for each state of the lock file, into the user's cache folder.
// Do not write into the folder: other tests use it.
func NodeModules(t testing.TB) string {
	t.Helper()
	dir, err := installNode()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// NodeCommand returns the command that runs an ECMAScript module, given as
// text, with the packages of NodeModules in reach. Its current folder is theirs:
// give it absolute paths. It is killed when the test ends.
func NodeCommand(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	dir := NodeModules(t)
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"--input-type=module", "-"}, args...)...)
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader([]byte(script))
	return cmd
}

func installNodeModules() (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is not installed (%w): run `make services`", program, err)
		}
	}
	source, err := nodeFolder()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for npm packages: %w; set $HOME or $XDG_CACHE_HOME", err)
	}
	cache = filepath.Join(cache, "wildout")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("folder for npm packages: %w", err)
	}
	// Tests of several packages run at the same time; one installs.
	lock, err := os.OpenFile(filepath.Join(cache, "node.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("folder for npm packages: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return npmCI(source, cache)
}

// npmCI installs what the files in source say into a folder of cache, unless it
// is there.
func npmCI(source, cache string) (string, error) {
	sum := sha256.New()
	content := map[string][]byte{}
	for _, name := range nodeFiles {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("npm packages: %w", err)
		}
		content[name] = text
		sum.Write(text)
	}
	dir := filepath.Join(cache, "node-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// Under another name until it is complete.
	unfinished := dir + ".unfinished"
	if err := errors.Join(os.RemoveAll(unfinished), os.Mkdir(unfinished, 0o755)); err != nil {
		return "", fmt.Errorf("npm packages: %w", err)
	}
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(unfinished, name), text, 0o644); err != nil {
			return "", fmt.Errorf("npm packages: %w", err)
		}
	}
	npm := exec.Command("npm", "ci")
	npm.Dir = unfinished
	if output, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci with the files of hack/node: %w\n%s", err, output)
	}
	return dir, os.Rename(unfinished, dir)
}

// nodeFolder finds hack/node above the current folder, which is that of the
// package under test.
func nodeFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		folder := filepath.Join(dir, "hack", "node")
		_, err := os.Stat(filepath.Join(folder, nodeFiles[0]))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return folder, err
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("hack/node is not above the current folder")
		}
	}
}
