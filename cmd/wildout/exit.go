package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/wildout/wildout/cmd/wildout/internal/cluster"
	"github.com/wildout/wildout/runtime/console"
)

// The exit statuses, as docs/cli.md and `wildout --help` have them.
const (
	exitNo          = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitRefused     = 4
	exitInterrupted = 130 // as shells have it for SIGINT
)

const exitHelp = `Exit status: 0 all is well; 1 the answer is no (a run failed, a manifest has a
fault, there is no such run, an event was not accepted); 2 the command line is at
fault; 3 nobody answers, or not now; 4 not allowed; 130 interrupted.`

// errShown ends a command with status 1 after it said why.
var errShown = errors.New("shown")

// exitStatus returns the status for the error of a command.
func exitStatus(err error) int {
	var wrong *usageError
	var unreachable *console.UnreachableError
	var refused *console.RefusedError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &wrong), isCobraUsage(err):
		return exitUsage
	case cluster.KindOf(err) == cluster.Forbidden:
		return exitRefused
	case cluster.KindOf(err) == cluster.Missing:
		return exitNo
	case cluster.KindOf(err) == cluster.Unreachable, errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, &refused):
		return refusedStatus(refused.Status)
	}
	return exitNo
}

// plain returns what is to be told of an error: what a cluster says needs none
// of the words around it, which are about a URL.
func plain(err error) error {
	var said *cluster.Error
	if errors.As(err, &said) {
		return said
	}
	return err
}

func refusedStatus(status int) int {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return exitRefused
	case status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return exitUnreachable
	}
	return exitNo
}

// isCobraUsage recognizes what cobra itself finds wrong with a command line; it
// has no type for it.
func isCobraUsage(err error) bool {
	for _, head := range []string{"unknown command", "unknown flag", "unknown shorthand flag", "flag needs an argument", "invalid argument",
		"required flag(s)", "if any flags in the group", "bad flag syntax"} {
		if strings.HasPrefix(err.Error(), head) {
			return true
		}
	}
	return false
}
