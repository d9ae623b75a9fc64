package dev

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder makes the folder and keeps other processes from it. Its content
// is nothing for version control.
func lockFolder(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for the data: %w; --data takes another one", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o600); err != nil {
		return nil, fmt.Errorf("folder for the data: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("folder for the data: %w", err)
	}
	if err := lockFile(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("another `wildout dev` uses the folder %s: stop it, or give this one another folder with --data", dir)
	}
	return func() { file.Close() }, nil
}

// lockFile locks a file until it is closed; it fails when another process has it.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
