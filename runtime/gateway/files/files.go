// Package files follows files that somebody else replaces: Secrets and
// ConfigMaps that Kubernetes mounts, and what an editor saves. It says that
// something has changed and not what: whoever is told reads everything again.
// The package must not know what is in the files.
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long there must be quiet before the change is told: files
	// are written in several steps.
	settle = 200 * time.Millisecond
	// lookAgain is how often the change is told though nobody saw one: not
	// every file system says what happens on it.
	lookAgain = time.Minute
)

// Watch calls changed after something in the folders, or in the folders of the
// files, has changed, until ctx ends; and once at the beginning, for what has
// changed since the caller looked. paths is asked again each time. A path that
// does not exist is looked for again.
func Watch(ctx context.Context, log *slog.Logger, paths func() []string, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch files: %w", err)
	}
	defer watcher.Close()
	quiet, again := time.NewTimer(0), time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		add(watcher, log, paths())
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			quiet.Reset(settle)
		case err := <-watcher.Errors:
			log.Warn("a change of a file may have been missed", "error", err)
			quiet.Reset(settle)
		case <-quiet.C:
			changed()
		case <-again.C:
			changed()
		}
	}
}

// add watches folders alone: Kubernetes and editors replace files, and of a
// file that was replaced nothing is heard again.
func add(watcher *fsnotify.Watcher, log *slog.Logger, paths []string) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			path = filepath.Dir(path)
		}
		// To add a folder twice does nothing; one that was made anew is added.
		if err := watcher.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("a folder cannot be watched; it is looked at every minute", "folder", path, "error", err)
		}
	}
}
