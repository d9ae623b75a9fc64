package runner

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// gcPercent lets the heap grow further between collections than Go's default:
// the live heap of a runner is a few MB, and the collector would otherwise be
// its largest expense.
const gcPercent = 800

// TuneMemory sets up the garbage collector of this process, a runner or another
// server: it runs seldom while there is room, and in time before the container's
// memory limit. GOGC and GOMEMLIMIT, where they are set, are left alone.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if limit, ok := containerLimit(); ok && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit * 8 / 10) // the rest is for stacks, buffers and what Go does not count
	}
}

// containerLimit returns the memory limit of the container in bytes, as its
// control group has it (version 2, then 1); false when there is none.
func containerLimit() (int64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		return parseLimit(string(text))
	}
	return 0, false
}

// parseLimit reads what a control group says: a number, or "max". Version 1
// says "none" with a number near the largest there is.
func parseLimit(text string) (int64, bool) {
	limit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || limit <= 0 || limit > 1<<60 {
		return 0, false
	}
	return limit, true
}
