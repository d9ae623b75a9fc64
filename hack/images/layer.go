package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is a number that no system gives a meaning to.
const user = 65532

// entry is a file or a folder of an image.
type entry struct {
	name    string
	mode    int64
	content []byte
}

// baseEntries are what a program expects of its system: whom to trust, who it
// is, and where to put temporary files.
func baseEntries() []entry {
	return []entry{
		{name: "etc/", mode: 0o755},
		{"etc/group", 0o644, fmt.Appendf(nil, "wildout:x:%d:\n", user)},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "wildout:x:%d:%d::/tmp:/sbin/nologin\n", user, user)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{name: "tmp/", mode: 0o1777},
	}
}

// authorities are Mozilla's, in the version that go.mod pins. Those that are
// trusted only for certificates up to some day are left out: a file of
// certificates cannot say so.
func authorities() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return all.Bytes()
}

// newLayer packs entries. They have no owner and no time of their own.
func newLayer(entries []entry) (v1.Layer, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		if e.content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// programLayer has one program, at the root.
func programLayer(name, file string) (v1.Layer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return newLayer([]entry{{name, 0o755, content}})
}
