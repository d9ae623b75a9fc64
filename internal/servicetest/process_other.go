//go:build unix && !linux

package servicetest

import "syscall"

// setDeathSignal does nothing: only Linux can tie a child to its parent. Here
// a server outlives a test process that is killed.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
