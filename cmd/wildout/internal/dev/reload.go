package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
)

// settle is how long the files must be quiet before they are read again: an
// editor writes in several steps.
const settle = 150 * time.Millisecond

// load reads the manifests and makes the workers follow them.
func (s *Server) load(ctx context.Context) error {
	set, err := manifest.Load(s.opts.Paths, s.knownHandler)
	if err != nil {
		return err
	}
	for _, fault := range set.Faults {
		s.log.Error(fault.Error())
	}
	for _, doubt := range set.Doubts {
		s.log.Warn(doubt.Error())
	}
	if err := s.applyTypes(ctx, set); err != nil {
		return err
	}
	done, err := s.functions.apply(s.workers, set)
	if text := done.String(); text != "" && s.isReady() {
		s.log.Info("functions " + text)
	}
	return err
}

func (s *Server) applyTypes(ctx context.Context, set *manifest.Set) error {
	schemas := make(map[string]json.RawMessage, len(set.EventTypes))
	for _, t := range set.EventTypes {
		schemas[t.Name] = t.Schema
		if err := s.store.SetRetention(ctx, t.Name, t.Period, t.MaxBytes); err != nil {
			return fmt.Errorf("record the retention of %s: %w", t.Name, err)
		}
	}
	s.declare(set.EventTypes)
	return s.types.Set(schemas)
}

// knownHandler says no to a handler that is not there, and says why where it
// is for a setting.
func (s *Server) knownHandler(name string) bool {
	_, ok := s.handlers.Registry.Lookup(name)
	return ok
}

// watch loads the manifests again after each change, until ctx ends.
func (s *Server) watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the manifests: %w", err)
	}
	defer watcher.Close()
	for _, path := range s.opts.Paths {
		// Of a single file the folder is watched: editors replace files.
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			path = filepath.Dir(path)
		}
		if err := watcher.Add(path); err != nil {
			return fmt.Errorf("watch %s: %w", path, err)
		}
	}
	// What changed between the first load and now is looked at once more.
	changed := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-watcher.Events:
			if manifest.IsManifest(e.Name) {
				changed.Reset(settle)
			}
		case err := <-watcher.Errors:
			s.log.Warn("a change of the manifests may have been missed", "error", err)
			changed.Reset(settle)
		case <-changed.C:
			s.reload(ctx)
		}
	}
}

func (s *Server) reload(ctx context.Context) {
	if err := s.load(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("the manifests were not loaded; what ran goes on", "error", err)
	}
}
