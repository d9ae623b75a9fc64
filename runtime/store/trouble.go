package store

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Trouble is why Redis does not do what it is asked, as far as somebody has to
// do something else about it.
type Trouble int

const (
	// NoTrouble means that there is no error.
	NoTrouble Trouble = iota
	// Unreachable means that no answer came: wrong host or port, a server that
	// is down or starting, a firewall, a certificate that is not trusted.
	Unreachable
	// Unauthorized means that Redis refuses the user, the password, or what
	// the user may do.
	Unauthorized
	// ReadOnly means that the server is a replica.
	ReadOnly
	// Full means that Redis is at maxmemory, or cannot write to its disk.
	Full
	// Refused is any other answer that is an error.
	Refused
)

// TroubleOf says what kind of trouble an error of this package is. It divides
// the kinds that are counted (ErrorKind) by whose hands they need.
func TroubleOf(err error) Trouble {
	if err == nil {
		return NoTrouble
	}
	var answered redis.Error
	if errors.As(err, &answered) {
		switch text := answered.Error(); {
		case strings.HasPrefix(text, "READONLY"):
			return ReadOnly
		case strings.HasPrefix(text, "OOM"), strings.HasPrefix(text, "MISCONF"):
			return Full
		case strings.HasPrefix(text, "LOADING"), strings.HasPrefix(text, "CLUSTERDOWN"), strings.HasPrefix(text, "MASTERDOWN"):
			return Unreachable
		}
	}
	switch kind, _ := errorKind(err); kind {
	case ErrorDenied:
		return Unauthorized
	case ErrorNetwork, ErrorTimeout:
		return Unreachable
	}
	return Refused
}
