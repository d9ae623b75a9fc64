package pack

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Build makes the image of one program.
type Build struct {
	// Name is that of the program, Description what it is, and Package the
	// folder of its main package, below Root, the folder of its module.
	Name, Description, Package, Root string
	Source                           Source
	// Version is the tag of the image.
	Version   string
	Platforms []v1.Platform
	// Workspace is a folder for what is in between.
	Workspace string
	// Files are further ones, at the bottom of the image.
	Files []Entry
	// Path is PATH in the image; "": /.
	Path string
	// StopSignal is what ends the program; "": SIGTERM.
	StopSignal string
}

// Report is what became of it.
type Report struct {
	Reference string
	Digest    string
	Bytes     int64
}

// Pack builds the program for every platform and writes the archive. name is
// that of the image, without a tag.
func (b *Build) Pack(ctx context.Context, name, archive string) (r Report, err error) {
	ref, err := reference.ParseDockerRef(name + ":" + b.Version)
	if err != nil {
		return r, fmt.Errorf("%s:%s is no name of an image: %w", name, b.Version, err)
	}
	images := make([]v1.Image, len(b.Platforms))
	for i, platform := range b.Platforms {
		if images[i], err = b.image(ctx, platform); err != nil {
			return r, err
		}
	}
	// containerd names an image by the first, everybody else by the second.
	descriptor := map[string]string{"io.containerd.image.name": ref.String(), "org.opencontainers.image.ref.name": b.Version}
	folder := filepath.Join(b.Workspace, b.Name+"-layout")
	digest, err := writeLayout(folder, images, b.index(images), descriptor)
	if err != nil {
		return r, fmt.Errorf("write the layout: %w", err)
	}
	size, err := writeArchive(archive, folder)
	return Report{Reference: ref.String(), Digest: digest, Bytes: size}, err
}

// image is that of one platform.
func (b *Build) image(ctx context.Context, platform v1.Platform) (v1.Image, error) {
	file, err := b.compile(ctx, platform)
	if err != nil {
		return nil, err
	}
	base, err := newLayer(append(baseEntries(), b.Files...))
	if err != nil {
		return nil, err
	}
	top, err := programLayer(b.Name, file)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: b.Source.Time}
	image, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		mutate.Addendum{Layer: base, History: v1.History{Created: created, CreatedBy: "hack/images", Comment: "certificates, user, /tmp, and what the program calls"}},
		mutate.Addendum{Layer: top, History: v1.History{Created: created, CreatedBy: "hack/images", Comment: "/" + b.Name}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant, config.Created = platform.OS, platform.Architecture, platform.Variant, created
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/" + b.Name},
		Env:        []string{"PATH=" + cmp.Or(b.Path, "/"), "HOME=/tmp"},
		WorkingDir: "/tmp",
		Labels:     b.labels(),
		StopSignal: b.StopSignal,
	}
	return mutate.ConfigFile(image, config)
}

func (b *Build) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "wildout " + b.Name,
		"org.opencontainers.image.description": b.Description,
		"org.opencontainers.image.version":     b.Version,
		"org.opencontainers.image.revision":    b.Source.Revision,
		"org.opencontainers.image.created":     b.Source.Time.Format(time.RFC3339),
		"org.opencontainers.image.source":      "https://github.com/wildout/wildout",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}

// index joins the images of several platforms; nil for one.
func (b *Build) index(images []v1.Image) v1.ImageIndex {
	if len(images) == 1 {
		return nil
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, image := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &b.Platforms[i]}})
	}
	return index
}

// writeLayout writes an OCI layout and returns the digest of the image.
func writeLayout(folder string, images []v1.Image, index v1.ImageIndex, annotations map[string]string) (string, error) {
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return "", err
	}
	var digest v1.Hash
	if index != nil {
		if err = path.AppendIndex(index, layout.WithAnnotations(annotations)); err == nil {
			digest, err = index.Digest()
		}
	} else if err = path.AppendImage(images[0], layout.WithAnnotations(annotations)); err == nil {
		digest, err = images[0].Digest()
	}
	return digest.String(), err
}
