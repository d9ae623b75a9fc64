package main

import (
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

// build makes the image of one program.
type build struct {
	program   program
	root      string // folder of the repository
	source    source
	version   string
	platforms []v1.Platform
	workspace string // folder for what is in between
}

// report is what became of it.
type report struct {
	reference string
	digest    string
	bytes     int64
}

// pack builds the program for every platform and writes the archive. name is
// that of the image, without a tag.
func (b *build) pack(ctx context.Context, name, archive string) (r report, err error) {
	ref, err := reference.ParseDockerRef(name + ":" + b.version)
	if err != nil {
		return r, fmt.Errorf("%s:%s is no name of an image: %w", name, b.version, err)
	}
	images := make([]v1.Image, len(b.platforms))
	for i, platform := range b.platforms {
		if images[i], err = b.image(ctx, platform); err != nil {
			return r, err
		}
	}
	// containerd names an image by the first, everybody else by the second.
	descriptor := map[string]string{"io.containerd.image.name": ref.String(), "org.opencontainers.image.ref.name": b.version}
	folder := filepath.Join(b.workspace, b.program.name+"-layout")
	digest, err := writeLayout(folder, images, b.index(images), descriptor)
	if err != nil {
		return r, fmt.Errorf("write the layout: %w", err)
	}
	size, err := writeArchive(archive, folder)
	return report{reference: ref.String(), digest: digest, bytes: size}, err
}

// image is that of one platform.
func (b *build) image(ctx context.Context, platform v1.Platform) (v1.Image, error) {
	file, err := b.compile(ctx, platform)
	if err != nil {
		return nil, err
	}
	base, err := newLayer(baseEntries())
	if err != nil {
		return nil, err
	}
	top, err := programLayer(b.program.name, file)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: b.source.time}
	image, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		mutate.Addendum{Layer: base, History: v1.History{Created: created, CreatedBy: "hack/images", Comment: "certificates, user, /tmp"}},
		mutate.Addendum{Layer: top, History: v1.History{Created: created, CreatedBy: "hack/images", Comment: "/" + b.program.name}})
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
		Entrypoint: []string{"/" + b.program.name},
		Env:        []string{"PATH=/", "HOME=/tmp"},
		WorkingDir: "/tmp",
		Labels:     b.labels(),
	}
	return mutate.ConfigFile(image, config)
}

func (b *build) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "wildout " + b.program.name,
		"org.opencontainers.image.description": b.program.description,
		"org.opencontainers.image.version":     b.version,
		"org.opencontainers.image.revision":    b.source.revision,
		"org.opencontainers.image.created":     b.source.time.Format(time.RFC3339),
		"org.opencontainers.image.source":      "https://github.com/wildout/wildout",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}

// index joins the images of several platforms; nil for one.
func (b *build) index(images []v1.Image) v1.ImageIndex {
	if len(images) == 1 {
		return nil
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, image := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &b.platforms[i]}})
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
