//go:build unix && !linux

package dev

import "syscall"

// endWithParent does nothing: only Linux can tie a child to its parent. Here
// Redis outlives a dev server that is killed.
func endWithParent(*syscall.SysProcAttr) {}
