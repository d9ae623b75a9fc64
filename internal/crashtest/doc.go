// Package crashtest makes a runner die, freeze or lose its connection at an
// exact place in its talk with Redis, and only in tests. A Process is a runner
// in a process of its own: the test binary, started again. A Proxy stands
// between it and Redis, understands the commands, and acts when the command
// that a Point names goes by. There are no hooks in the code under test. The
// package must not know what the runner does.
package crashtest
