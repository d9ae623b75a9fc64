package store

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
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

// TroubleOf says what kind of trouble an error of this package is.
func TroubleOf(err error) Trouble {
	if err == nil {
		return NoTrouble
	}
	text := err.Error()
	for mark, trouble := range map[string]Trouble{
		"WRONGPASS": Unauthorized, "NOAUTH": Unauthorized, "NOPERM": Unauthorized, "invalid password": Unauthorized,
		"READONLY": ReadOnly, "OOM ": Full, "MISCONF": Full, "LOADING": Unreachable, "CLUSTERDOWN": Unreachable, "tls: ": Unreachable,
		"x509: ": Unreachable, "connection pool": Unreachable,
	} {
		if strings.Contains(text, mark) {
			return trouble
		}
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return Unreachable
	}
	return Refused
}
