package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wildout/wildout/hack/images/pack"
)

// debian returns the files of this machine that PostgreSQL and Redis consist
// of, and the value of PATH with which their programs are found.
func debian(ctx context.Context) (entries []pack.Entry, path string, err error) {
	server, version, err := postgresFolder()
	if err != nil {
		return nil, "", err
	}
	f := files{}
	for _, program := range []string{
		filepath.Join(server, "bin", "initdb"), filepath.Join(server, "bin", "postgres"),
		filepath.Join(server, "lib", "plpgsql.so"), filepath.Join(server, "lib", "dict_snowball.so"),
		"/bin/sh", // initdb asks it to start postgres
		"/usr/bin/redis-server", "/usr/bin/redis-cli",
	} {
		err = errors.Join(err, f.addProgram(ctx, program))
	}
	err = errors.Join(err, f.addFolder("/usr/share/postgresql/"+version), f.add("/usr/share/zoneinfo/UTC"))
	if err != nil {
		return nil, "", fmt.Errorf("collect PostgreSQL and Redis, which `make services` installs: %w", err)
	}
	return f.entries(), filepath.Join(server, "bin") + ":/usr/bin:/bin", nil
}

// postgresFolder is where Debian has the newest PostgreSQL.
func postgresFolder() (folder, version string, err error) {
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(programs) == 0 {
		return "", "", errors.Join(err, errors.New("there is no PostgreSQL in /usr/lib/postgresql: this packs that of a Debian; run `make services` there"))
	}
	number := func(program string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program)))) // 0 of what is no version
		return n
	}
	newest := slices.MaxFunc(programs, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	folder = filepath.Dir(filepath.Dir(newest))
	return folder, filepath.Base(folder), nil
}

// files are files of this machine by their names in an image.
type files map[string]pack.Entry

// add adds a file under the name that it was asked for, be that a link or not.
func (f files) add(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(path, "/")
	f[name] = pack.Entry{Name: name, Mode: int64(info.Mode().Perm()), Content: content}
	return nil
}

func (f files) addFolder(folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return f.add(path)
	})
}

// library is a line of ldd: "libz.so.1 => /lib/…/libz.so.1 (0x…)", or the
// loader, "/lib64/ld-linux-x86-64.so.2 (0x…)".
var library = regexp.MustCompile(`(/\S+) \(0x`)

// addProgram adds a program, or a module of one, and its libraries.
func (f files) addProgram(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "ldd", path).Output()
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", path, err)
	}
	err = f.add(path)
	for _, found := range library.FindAllStringSubmatch(string(out), -1) {
		err = errors.Join(err, f.add(found[1]))
	}
	return err
}

// entries are the files with the folders above them, each folder before what
// is in it.
func (f files) entries() []pack.Entry {
	all := maps.Clone(f)
	for name := range f {
		for folder := filepath.Dir(name); folder != "."; folder = filepath.Dir(folder) {
			all[folder+"/"] = pack.Entry{Name: folder + "/", Mode: 0o755}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b pack.Entry) int { return strings.Compare(a.Name, b.Name) })
}
