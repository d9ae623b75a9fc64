// Command images packs the programs of this repository as container images,
// without a container engine: one OCI archive for each, FROM nothing, for
// whatever imports images (ctr, kind, podman, skopeo). The same source and the
// same Go make the same bytes, on every machine. Arguments are the programs to
// pack, all of them when there is none.
//
// It is a module of its own, so that what it needs is not in what we ship.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/wildout/wildout/hack/images/pack"
)

// program is a main package that becomes an image.
type program struct {
	name, description string
}

func (p program) String() string { return p.name }

var programs = []program{
	{"manager", "The operator of wildout: makes runners of functions"},
	{"runner", "The standard runner of wildout: runs one function"},
	{"wildout", "The gateway, the console and the command line of wildout"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	root := flags.String("root", "../..", "folder of the repository")
	out := flags.String("o", "../../bin/images", "folder for the archives")
	prefix := flags.String("prefix", "wildout", "what the names of the images begin with, such as registry.example.com/team")
	version := flags.String("version", "", "tag of the images; empty: what git describes")
	platforms := flags.String("platforms", "linux/amd64", "what to build for, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	source, err := pack.ReadSource(ctx, *root)
	if err != nil {
		return err
	}
	if *version == "" {
		*version = source.Version
	}
	workspace, err := os.MkdirTemp("", "wildout-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(workspace)
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	if err := known(flags.Args()); err != nil {
		return err
	}
	for _, p := range programs {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), p.name) {
			continue
		}
		b := pack.Build{Name: p.name, Description: p.description, Package: "cmd/" + p.name, Root: *root, Source: source, Version: *version, Workspace: workspace}
		for text := range strings.SplitSeq(*platforms, ",") {
			platform, err := v1.ParsePlatform(text)
			if err != nil {
				return fmt.Errorf("-platforms: %q is no platform such as linux/arm64: %w", text, err)
			}
			b.Platforms = append(b.Platforms, *platform)
		}
		archive := filepath.Join(*out, p.name+".tar")
		report, err := b.Pack(ctx, *prefix+"/"+p.name, archive)
		if err != nil {
			return fmt.Errorf("image of %s: %w", p.name, err)
		}
		fmt.Printf("%s  %s  %.1f MB\n", archive, report.Reference, float64(report.Bytes)/1e6)
		fmt.Printf("  %s\n", report.Digest)
	}
	return nil
}

// known reports names that are no program's.
func known(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(programs, func(p program) bool { return p.name == name }) {
			return fmt.Errorf("there is no program %q: want some of %v", name, programs)
		}
	}
	return nil
}
