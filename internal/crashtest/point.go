package crashtest

import (
	"crypto/sha1" //nolint:gosec // Redis names its scripts by it
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Fault is what happens when a Point is reached.
type Fault int

const (
	// Before means that the hit function is called, and the command never reaches Redis.
	Before Fault = iota
	// After means that Redis has answered; the hit function is called, and the answer
	// never reaches the runner.
	After
	// Cut means that like After, but the connection breaks by itself and the runner lives.
	Cut
	// Late means that the hit function is called, and the command is held back, with
	// whatever follows on its connection, until Release.
	Late
)

func (f Fault) String() string { return [...]string{"before", "after", "cut", "late"}[f] }

// Point is a place in the talk between a runner and Redis.
type Point struct {
	// Command is a command in small letters, such as hsetnx, or the name of a
	// script, such as finish.
	Command string
	// Args must each be part of an argument, keys included.
	Args []string
	// Nth is which of the commands that fit, from 1; 0 means 1.
	Nth   int
	Fault Fault
}

func (p Point) String() string {
	text := p.Fault.String() + " " + p.Command
	if len(p.Args) > 0 {
		text += " " + strings.Join(p.Args, " ")
	}
	if p.Nth > 1 {
		text += fmt.Sprintf(" #%d", p.Nth)
	}
	return text
}

// fits reports whether the command, which has that name, is of this point.
func (p Point) fits(name string, args []string) bool {
	if name != p.Command {
		return false
	}
	for _, want := range p.Args {
		found := false
		for _, arg := range args {
			found = found || strings.Contains(arg, want)
		}
		if !found {
			return false
		}
	}
	return true
}

// Scripts names Lua scripts by the digest that EVALSHA calls them by.
type Scripts map[string]string

// ReadScripts reads the *.lua files of a folder and of those below it; a
// script's name is its file's.
func ReadScripts(folder fs.FS) (Scripts, error) {
	var files []string
	err := fs.WalkDir(folder, ".", func(file string, _ fs.DirEntry, err error) error {
		if path.Ext(file) == ".lua" {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for scripts: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("no scripts (*.lua) found")
	}
	all := Scripts{}
	for _, file := range files {
		source, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		lib, err := libOf(folder, file, string(source))
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		all[digest(lib+string(source))] = strings.TrimSuffix(path.Base(file), ".lua")
	}
	return all, nil
}

// libOf returns what the store puts before a script: the file of the folder lib
// that its first line names, as in "-- with pace".
func libOf(folder fs.FS, file, source string) (string, error) {
	line, _, _ := strings.Cut(source, "\n")
	name, ok := strings.CutPrefix(line, "-- with ")
	if !ok {
		return "", nil
	}
	lib, err := fs.ReadFile(folder, path.Join(path.Dir(file), "lib", name+".lua"))
	return string(lib), err
}

func digest(source string) string {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

// name returns what Points call a command.
func (s Scripts) name(args []string) string {
	command := strings.ToLower(args[0])
	if len(args) < 2 {
		return command
	}
	script, known := "", false
	switch command {
	case "evalsha":
		script, known = s[args[1]]
	case "eval":
		script, known = s[digest(args[1])]
	}
	if known {
		return script
	}
	return command
}
