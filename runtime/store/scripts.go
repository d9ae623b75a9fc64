package store

import (
	"context"
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua scripts/lib/*.lua
var scriptFiles embed.FS

// scripts holds the Lua scripts by name. Each declares all its keys, is one
// atomic step of the protocol, and says in its head what it guarantees.
type scripts map[string]*redis.Script

func loadScripts() scripts {
	all := scripts{}
	entries, err := scriptFiles.ReadDir("scripts")
	if err != nil {
		panic(fmt.Sprintf("store: embedded scripts: %v", err)) // cannot happen: embedded at build time
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		src, err := scriptFiles.ReadFile(path.Join("scripts", e.Name()))
		if err != nil {
			panic(fmt.Sprintf("store: embedded script %s: %v", e.Name(), err))
		}
		all[strings.TrimSuffix(e.Name(), ".lua")] = redis.NewScript(withLib(string(src)))
	}
	return all
}

// withLib puts before a script what it names in its first line, as in "-- with pace".
func withLib(script string) string {
	line, _, _ := strings.Cut(script, "\n")
	name, ok := strings.CutPrefix(line, "-- with ")
	if !ok {
		return script
	}
	lib, err := scriptFiles.ReadFile(path.Join("scripts", "lib", name+".lua"))
	if err != nil {
		panic(fmt.Sprintf("store: embedded script %s: %v", name, err))
	}
	return string(lib) + script
}

// run executes a script; it is loaded when the server does not know it.
func (s *Store) run(ctx context.Context, name string, keys []string, args ...any) *redis.Cmd {
	return s.scripts[name].Run(ctx, s.rdb, keys, args...)
}

// load makes all scripts known to the server, for use in pipelines.
func (s *Store) load(ctx context.Context) error {
	for name, script := range s.scripts {
		if err := script.Load(ctx, s.rdb).Err(); err != nil {
			return fmt.Errorf("load script %s: %w", name, Explain(err))
		}
	}
	return nil
}
