package store

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Temporary reports whether what failed with err may succeed later by itself:
// Redis was away, or refused for a reason that passes.
func Temporary(err error) bool {
	var answered redis.Error
	if errors.As(err, &answered) {
		return temporary(answered)
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout)
}

// temporary reports whether the same command may succeed later, with nothing
// done about it by us.
func temporary(err error) bool {
	text := err.Error()
	for _, kind := range []string{"OOM ", "LOADING", "READONLY", "MISCONF", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "NOSCRIPT", "WRONGPASS", "NOAUTH", "NOPERM", "BUSY", "UNBLOCKED"} {
		if strings.HasPrefix(text, kind) {
			return true
		}
	}
	var answered redis.Error
	return !errors.As(err, &answered) // not an answer: the network, the server is away
}
