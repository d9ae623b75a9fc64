package pack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Source is what git knows of the source.
type Source struct {
	Version  string
	Revision string
	// Time is that of the commit: an image is not younger than its source.
	Time time.Time
}

// ReadSource asks git about the folder root.
func ReadSource(ctx context.Context, root string) (s Source, err error) {
	var seconds string
	for _, q := range []struct {
		into *string
		args []string
	}{
		{&s.Version, []string{"describe", "--tags", "--always", "--dirty"}},
		{&s.Revision, []string{"rev-parse", "HEAD"}},
		{&seconds, []string{"log", "-1", "--format=%ct"}},
	} {
		if *q.into, err = output(exec.CommandContext(ctx, "git", append([]string{"-C", root}, q.args...)...)); err != nil {
			return s, fmt.Errorf("ask git for the version: %w", err)
		}
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return s, fmt.Errorf("time of the last commit: %w", err)
	}
	s.Time = time.Unix(unix, 0).UTC()
	return s, nil
}

// compile builds the program for a platform and returns the file. Nothing of
// this machine gets in: neither paths, nor its C library, nor its settings.
func (b *Build) compile(ctx context.Context, platform v1.Platform) (string, error) {
	file := filepath.Join(b.Workspace, b.Name+"-"+platform.Architecture)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto",
		"-tags", "timetzdata", // there are no time zones in an empty image
		"-ldflags", "-s -w", "-o", file, "./"+b.Package)
	cmd.Dir = b.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=",
		"GOAMD64=v1", "GOARM64=v8.0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if _, err := output(cmd); err != nil {
		return "", err
	}
	return file, nil
}

// output runs a command. The error has what it said.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}
