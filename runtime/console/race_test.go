//go:build race

package console_test

// underRace says that the race detector is at work.
const underRace = true
