package pack

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

// Entry is a file of an image, or a folder (Content is nil, and Name ends in a
// slash).
type Entry struct {
	Name    string
	Mode    int64
	Content []byte
}

// baseEntries are what a program expects of its system: whom to trust, who it
// is, and where to put temporary files.
func baseEntries() []Entry {
	return []Entry{
		{Name: "etc/", Mode: 0o755},
		{"etc/group", 0o644, fmt.Appendf(nil, "wildout:x:%d:\n", user)},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "wildout:x:%d:%d::/tmp:/sbin/nologin\n", user, user)},
		{Name: "etc/ssl/", Mode: 0o755},
		{Name: "etc/ssl/certs/", Mode: 0o755},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{Name: "tmp/", Mode: 0o1777},
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
func newLayer(entries []Entry) (v1.Layer, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, e := range entries {
		header := &tar.Header{Name: e.Name, Mode: e.Mode, Size: int64(len(e.Content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		if e.Content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.Content); err != nil {
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
	return newLayer([]Entry{{name, 0o755, content}})
}
