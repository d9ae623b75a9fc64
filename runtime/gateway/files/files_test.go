package files_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/gateway/files"
)

// mount lays out a folder as Kubernetes does: file → ..data/file, ..data → a
// folder that is replaced as a whole.
func mount(t *testing.T, dir, generation, content string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Mkdir(filepath.Join(dir, generation), 0o755))
	check(os.WriteFile(filepath.Join(dir, generation, "key"), []byte(content), 0o600))
	check(os.Symlink(generation, filepath.Join(dir, "..data_tmp")))
	check(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if _, err := os.Lstat(filepath.Join(dir, "key")); err != nil {
		check(os.Symlink(filepath.Join("..data", "key"), filepath.Join(dir, "key")))
	}
}

func TestWatchSeesWhatKubernetesAndEditorsDo(t *testing.T) {
	mounted, edited := t.TempDir(), t.TempDir()
	mount(t, mounted, "..1", "one")
	file := filepath.Join(edited, "config.yaml")
	if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(t.TempDir(), "late")
	told := make(chan string, 100)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = files.Watch(ctx, slog.Default(), func() []string { return []string{mounted, file, late} }, func() {
			content := ""
			for _, path := range []string{filepath.Join(mounted, "key"), file, filepath.Join(late, "key")} {
				text, _ := os.ReadFile(path)
				content += string(text) + " "
			}
			told <- content
		})
	})
	defer wg.Wait()
	defer stop()
	await := func(want string) {
		t.Helper()
		for deadline := time.After(10 * time.Second); ; {
			select {
			case got := <-told:
				if got == want {
					return
				}
			case <-deadline:
				t.Fatalf("nobody was told of %q", want)
			}
		}
	}
	await("one one  ")
	mount(t, mounted, "..2", "two")
	await("two one  ")
	mount(t, mounted, "..3", "three")
	await("three one  ")
	// An editor writes another file and renames it.
	if err := os.WriteFile(file+".new", []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(late, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	await("three two  ")
	if err := os.WriteFile(filepath.Join(late, "key"), []byte("late"), 0o600); err != nil {
		t.Fatal(err)
	}
	await("three two late ")
}
