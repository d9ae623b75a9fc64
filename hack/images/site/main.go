// Command site packs the images that the end-to-end tests need beside those of
// the product (hack/e2e), from the programs of this machine, a Debian:
//
//   - site: hack/e2e/services, PostgreSQL, redis-server and redis-cli;
//   - mortal: the standard runner, which dies of SIGKILL where others are asked to
//     end: deleting its pod is a crash.
//
// They are for tests on machines like this one, and not reproducible.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/wildout/wildout/hack/images/pack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	root := flags.String("root", "../..", "folder of the repository")
	out := flags.String("o", "../../bin/images", "folder for the archives")
	prefix := flags.String("prefix", "wildout", "what the names of the images begin with")
	version := flags.String("version", "e2e", "tag of the images")
	if err := flags.Parse(args); err != nil {
		return err
	}
	source, err := pack.ReadSource(ctx, *root)
	if err != nil {
		return err
	}
	workspace, err := os.MkdirTemp("", "wildout-site-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(workspace)
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	files, path, err := debian(ctx)
	if err != nil {
		return err
	}
	for _, b := range []pack.Build{
		{Name: "site", Description: "What a site needs beside wildout, for tests", Package: "services",
			Root: filepath.Join(*root, "hack", "e2e"), Files: files, Path: path},
		{Name: "mortal", Description: "The standard runner, which dies at once when it is to end", Package: "cmd/runner",
			Root: *root, StopSignal: "SIGKILL"},
	} {
		b.Source, b.Version, b.Workspace = source, *version, workspace
		b.Platforms = []v1.Platform{{OS: "linux", Architecture: runtime.GOARCH}}
		archive := filepath.Join(*out, b.Name+".tar")
		report, err := b.Pack(ctx, *prefix+"/"+b.Name, archive)
		if err != nil {
			return fmt.Errorf("image %s: %w", b.Name, err)
		}
		fmt.Printf("%s  %s  %.1f MB\n", archive, report.Reference, float64(report.Bytes)/1e6)
	}
	return nil
}
