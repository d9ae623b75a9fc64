package crashtest_test

import (
	"fmt"
	"reflect"
	"syscall"
	"time"
	"unsafe"
)

// now is what time.Now reads the clocks with.
//
//go:linkname now time.now
func now() (sec int64, nsec int32, mono int64)

// shift is how far the wall clock of this process is off, in seconds.
var shift int64

// shiftClock sets the wall clock of this process, and not its monotonic one, off
// by d, as on a machine whose clock is wrong: time.Now begins with a jump to
// shiftedNow from then on.
func shiftClock(d time.Duration) error {
	if d == 0 {
		return nil
	}
	shift = int64(d / time.Second)
	from := reflect.ValueOf(now).Pointer()
	to := uint64(reflect.ValueOf(shiftedNow).Pointer())
	jump := []byte{0x49, 0xBB, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xFF, 0xE3} // MOV to, R11; JMP R11
	for i := range 8 {
		jump[2+i] = byte(to >> (8 * i))
	}
	page := from &^ uintptr(syscall.Getpagesize()-1)
	_, _, errno := syscall.Syscall(syscall.SYS_MPROTECT, page, uintptr(2*syscall.Getpagesize()), syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC)
	if errno != 0 {
		return fmt.Errorf("shift the clock: %w", errno)
	}
	copy(unsafe.Slice(*(**byte)(unsafe.Pointer(&from)), len(jump)), jump)
	var kernel syscall.Timeval
	if err := syscall.Gettimeofday(&kernel); err != nil {
		return fmt.Errorf("shift the clock: %w", err)
	}
	if off := time.Now().Unix() - kernel.Sec - shift; off < -5 || off > 5 {
		return fmt.Errorf("the clock is %d s off where it should be", off)
	}
	return nil
}

// shiftedNow is called as time.now: it must not be in need of more than the
// system's clocks.
func shiftedNow() (sec int64, nsec int32, mono int64) {
	const (
		wall      = 0 // CLOCK_REALTIME
		monotonic = 1 // CLOCK_MONOTONIC
	)
	var t syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, wall, uintptr(unsafe.Pointer(&t)), 0)
	sec, nsec = t.Sec+shift, int32(t.Nsec)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&t)), 0)
	return sec, nsec, t.Sec*1e9 + t.Nsec
}
