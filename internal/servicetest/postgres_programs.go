package servicetest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// superuser owns the cluster; it needs no password.
const superuser = "postgres"

// postgresPrograms is an installed PostgreSQL and the user to run it as.
type postgresPrograms struct {
	bin        string // the folder of initdb and postgres
	credential *syscall.Credential
}

// findPostgres looks where Debian keeps PostgreSQL, which is not on the PATH,
// takes the newest version there, and else the one on the PATH.
func findPostgres() (*postgresPrograms, error) {
	bin, err := postgresFolder("/usr/lib/postgresql")
	if err != nil {
		return nil, err
	}
	programs := &postgresPrograms{bin: bin}
	if os.Geteuid() == 0 {
		programs.credential, err = credentialOf(superuser)
	}
	return programs, err
}

func postgresFolder(debian string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(debian, "*", "bin", "initdb"))
	if err != nil {
		return "", err
	}
	newest, newestVersion := "", -1
	for _, path := range paths {
		bin := filepath.Dir(path)
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
		if err == nil && version > newestVersion {
			newest, newestVersion = bin, version
		}
	}
	if newest != "" {
		return newest, nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed (%w): run `make services`", err)
	}
	return filepath.Dir(path), nil
}

// credentialOf returns the ids of a user: PostgreSQL refuses to run as root.
func credentialOf(name string) (*syscall.Credential, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root and needs the user %s (%w): run `make services`", name, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// command returns a program of PostgreSQL, run in a folder that it may read.
func (p *postgresPrograms) command(name, dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	return cmd
}

// initialize makes an empty cluster in dir and returns its folder.
func (p *postgresPrograms) initialize(dir string) (string, error) {
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of the cluster: %w", err)
	}
	if p.credential != nil {
		for _, path := range []string{dir, data} {
			if err := os.Chown(path, int(p.credential.Uid), int(p.credential.Gid)); err != nil {
				return "", fmt.Errorf("hand the cluster over to %s: %w", superuser, err)
			}
		}
	}
	initdb := p.command("initdb", dir, "-D", data, "-U", superuser, "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if output, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return data, nil
}
