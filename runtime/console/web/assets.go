package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static templates
var files embed.FS

// asset is a file that pages load. Its name has a part that changes with its
// content, so that a browser may keep it for ever.
type asset struct {
	content, zipped []byte
	kind            string
}

// assets are by the name in the address, links by the name in static/.
type assets struct {
	byName map[string]asset
	links  map[string]string
}

func readAssets() assets {
	a := assets{map[string]asset{}, map[string]string{}}
	entries, err := files.ReadDir("static")
	if err != nil {
		panic(fmt.Sprintf("embedded files: %v", err)) // the compiler put them there
	}
	for _, entry := range entries {
		content, err := files.ReadFile("static/" + entry.Name())
		if err != nil {
			panic(fmt.Sprintf("embedded files: %v", err))
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), ext) + "-" + hex.EncodeToString(sum[:5]) + ext
		a.byName[name] = asset{content, zip(content, gzip.BestCompression), mime.TypeByExtension(ext)}
		a.links[entry.Name()] = "/assets/" + name
	}
	return a
}

func zip(content []byte, level int) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil // it is sent as it is
	}
	return b.Bytes()
}

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	found, ok := a.byName[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", found.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	content := found.content
	if found.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		content = found.zipped
	}
	_, _ = w.Write(content) // the client may be gone
}
