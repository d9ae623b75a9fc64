package dev

import (
	"os"
	"syscall"
)

// lockFile locks a file until it is closed; it fails when another process has it.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
