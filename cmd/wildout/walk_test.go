package main

import (
	_ "embed"
	"os/exec"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
)

//go:embed testdata/walk.mjs
var walk string

// TestWalk goes through the console with a browser: it sends an event, watches
// what becomes of it, replays, cancels; it looks at every page as people with
// a keyboard, a screen reader or a phone do. The walk itself is in
// testdata/walk.mjs.
func TestWalk(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: run `make services`", err)
	}
	r := start(t, site...)
	pictures := t.ArtifactDir()
	cmd := servicetest.NodeCommand(t, walk, r.About().URL, pictures)
	cmd.Env = append(cmd.Environ(), "CHROMIUM="+chromium)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("the walk took %s\n%s", time.Since(begin).Round(time.Second), out)
	if err != nil {
		t.Errorf("the walk ended with: %v", err)
	}
}
