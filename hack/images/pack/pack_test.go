package pack

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/buildinfo"
	"debug/elf"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// module writes the source of a small program to a folder of its own.
func module(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":             "module example.com/small\n\ngo 1.26.0\n",
		"cmd/small/small.go": "package main\n\nimport \"time\"\n\nfunc main() { println(time.Now().String()) }\n",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pack packs the small program of a folder of its own.
func pack(t *testing.T, platforms ...string) (archive string, r Report) {
	t.Helper()
	b := Build{
		Name: "small", Description: "A small program", Package: "cmd/small", Root: module(t), Workspace: t.TempDir(), Version: "1.2.3",
		Source: Source{Revision: "0123abc", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		Files:  []Entry{{Name: "etc/small.conf", Mode: 0o644, Content: []byte("large=false\n")}}, StopSignal: "SIGKILL",
	}
	for _, text := range platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			t.Fatal(err)
		}
		b.Platforms = append(b.Platforms, *platform)
	}
	archive = filepath.Join(t.TempDir(), "small.tar")
	r, err := b.Pack(t.Context(), "wildout/small", archive)
	if err != nil {
		t.Fatal(err)
	}
	return archive, r
}

// Another folder and another time make the same bytes.
func TestReproducible(t *testing.T) {
	one, _ := pack(t, "linux/amd64")
	two, _ := pack(t, "linux/amd64")
	if !bytes.Equal(read(t, one), read(t, two)) {
		t.Error("the same source was packed twice, and gave two archives")
	}
}

func TestImage(t *testing.T) {
	archive, r := pack(t, "linux/amd64")
	index := unpack(t, archive)
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest.String() != r.Digest {
		t.Fatalf("the archive has %+v, want only %s", manifest.Manifests, r.Digest)
	}
	names := manifest.Manifests[0].Annotations
	if got := names["io.containerd.image.name"]; got != r.Reference || !strings.HasSuffix(got, "/wildout/small:1.2.3") {
		t.Errorf("containerd would call it %q, the report %q", got, r.Reference)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/small"}) || c.StopSignal != "SIGKILL" || c.Env[0] != "PATH=/" || config.Architecture != "amd64" || config.OS != "linux" {
		t.Errorf("config %+v", config)
	}
	for label, want := range map[string]string{"version": "1.2.3", "revision": "0123abc", "created": "2026-01-02T03:04:05Z", "title": "wildout small"} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	checkFiles(t, image)
}

func checkFiles(t *testing.T, image v1.Image) {
	t.Helper()
	headers, contents := files(t, image)
	if h := headers["tmp/"]; h == nil || h.FileInfo().Mode().Perm() != 0o777 || h.Mode&0o1000 == 0 {
		t.Errorf("/tmp is %+v", h)
	}
	rest, certificates := contents["etc/ssl/certs/ca-certificates.crt"], 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
		certificates++
	}
	if certificates < 100 {
		t.Errorf("there are %d certificates, want those of all public authorities", certificates)
	}
	if got := string(contents["etc/small.conf"]); got != "large=false\n" {
		t.Errorf("the further file has %q", got)
	}
	checkProgram(t, contents["small"])
}

// checkProgram: it needs nothing of its system, and runs.
func checkProgram(t *testing.T, content []byte) {
	t.Helper()
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it needs libraries: %v %v", libraries, err)
	}
	if binary.Section(".debug_info") != nil || binary.Section(".symtab") != nil {
		t.Error("it has what only debuggers read")
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" || settings["-tags"] != "timetzdata" {
		t.Errorf("it was built with %v", settings)
	}
	file := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(file, content, 0o700); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestPlatforms(t *testing.T) {
	archive, _ := pack(t, "linux/amd64", "linux/arm64")
	outer, err := unpack(t, archive).IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := unpack(t, archive).ImageIndex(outer.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(inner); err != nil {
		t.Error(err)
	}
	manifest, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range manifest.Manifests {
		found = append(found, m.Platform.String())
	}
	if !slices.Equal(found, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("the image is for %v", found)
	}
}

// unpack returns what an archive holds.
func unpack(t *testing.T, archive string) v1.ImageIndex {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.FromSlash(header.Name))
		content, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// files returns the files of all layers.
func files(t *testing.T, image v1.Image) (headers map[string]*tar.Header, contents map[string][]byte) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	headers, contents = map[string]*tar.Header{}, map[string][]byte{}
	for _, layer := range layers {
		stream, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(stream); ; {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			headers[header.Name] = header
			if contents[header.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		stream.Close()
	}
	return headers, contents
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
