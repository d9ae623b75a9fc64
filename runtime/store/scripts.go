package store

import (
	"context"
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Scripts are the Lua scripts of a room, by name. Each declares all its keys,
// is one atomic step of the protocol, and says in its head what it guarantees.
type Scripts map[string]*redis.Script

//go:embed scripts/*.lua
var scriptFiles embed.FS

var scripts = ReadScripts(scriptFiles)

// ReadScripts reads the scripts that a package has embedded from its folder
// scripts.
func ReadScripts(files embed.FS) Scripts {
	all := Scripts{}
	entries, err := files.ReadDir("scripts")
	if err != nil {
		panic(fmt.Sprintf("store: embedded scripts: %v", err)) // cannot happen: embedded at build time
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		src, err := files.ReadFile(path.Join("scripts", e.Name()))
		if err != nil {
			panic(fmt.Sprintf("store: embedded script %s: %v", e.Name(), err))
		}
		all[strings.TrimSuffix(e.Name(), ".lua")] = redis.NewScript(withLib(files, string(src)))
	}
	return all
}

// withLib puts before a script what it names in its first line, as in "-- with pace".
func withLib(files embed.FS, script string) string {
	line, _, _ := strings.Cut(script, "\n")
	name, ok := strings.CutPrefix(line, "-- with ")
	if !ok {
		return script
	}
	lib, err := files.ReadFile(path.Join("scripts", "lib", name+".lua"))
	if err != nil {
		panic(fmt.Sprintf("store: embedded script %s: %v", name, err))
	}
	return string(lib) + script
}

// Run executes a script; it is loaded when the server does not know it.
func (s Scripts) Run(ctx context.Context, c *Conn, name string, keys []string, args ...any) *redis.Cmd {
	return s[name].Run(ctx, c.rdb, keys, args...)
}

// Queue adds a script to a pipeline. A server that was started meanwhile answers
// NOSCRIPT: then Load, and send it again.
func (s Scripts) Queue(ctx context.Context, pipe redis.Pipeliner, name string, keys []string, args ...any) *redis.Cmd {
	return s[name].EvalSha(ctx, pipe, keys, args...)
}

// Pipelined sends a pipeline to which scripts are queued, and sends it again
// where the server does not have one of them, as happens once after its start: what
// queue adds must bear that. The error is that of the first command that failed.
func (s Scripts) Pipelined(ctx context.Context, c *Conn, queue func(redis.Pipeliner)) error {
	send := func() ([]redis.Cmder, error) {
		pipe := c.rdb.Pipeline()
		queue(pipe)
		if pipe.Len() == 0 {
			return nil, nil
		}
		return pipe.Exec(ctx)
	}
	sent, err := send()
	for _, cmd := range sent {
		if FaultOf(cmd.Err()) != NoScript {
			continue
		}
		if err := s.Load(ctx, c); err != nil {
			return err
		}
		_, err = send()
		break
	}
	return err
}

// Load makes all scripts known to the server, for use in pipelines.
func (s Scripts) Load(ctx context.Context, c *Conn) error {
	for name, script := range s {
		if err := script.Load(ctx, c.rdb).Err(); err != nil {
			return fmt.Errorf("load script %s: %w", name, Explain(err))
		}
	}
	return nil
}

// Flag is how a script is told yes or no.
func Flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
