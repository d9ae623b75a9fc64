package store

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Fault is why Redis has not done what it was asked: the one division of its
// errors, by what somebody has to do about them. FaultOf says which it is.
type Fault string

// What keeps an answer away.
const (
	// Away means that no answer came: nobody listens, or the connection broke.
	Away Fault = "away"
	// Slow means that no answer came in time.
	Slow Fault = "slow"
	// Untrusted means that the two do not agree about TLS.
	Untrusted Fault = "untrusted"
	// Stopped means that it was given up by who asked.
	Stopped Fault = "stopped"
)

// What Redis refuses whatever it is asked.
const (
	// Starting means that it loads its data, or its cluster does not know itself.
	Starting Fault = "starting"
	// Busy means that it has no time, place or replica for this now.
	Busy Fault = "busy"
	// Full means that it is at maxmemory.
	Full Fault = "full"
	// Unsaved means that it cannot write to its disk.
	Unsaved Fault = "unsaved"
	// ReadOnly means that it is a replica.
	ReadOnly Fault = "readonly"
	// Unauthenticated means that the user or the password is wrong.
	Unauthenticated Fault = "unauthenticated"
	// Forbidden means that the user may not do this.
	Forbidden Fault = "forbidden"
	// Elsewhere means that it is a node of a cluster, and the keys are at another.
	Elsewhere Fault = "elsewhere"
)

// What Redis answers to one command, and does others beside it.
const (
	// NoFault means that there is no error.
	NoFault Fault = ""
	// Absent means that there is no such thing.
	Absent Fault = "absent"
	// NoGroup means that a stream, or the group on it, is not there (yet).
	NoGroup Fault = "nogroup"
	// GroupExists means that the group to be created is there.
	GroupExists Fault = "groupexists"
	// NoScript means that the server does not have the script (any more).
	NoScript Fault = "noscript"
	// Unblocked means that the stream of a read that waited was deleted.
	Unblocked Fault = "unblocked"
	// Fenced is what our scripts answer to who does not own a run any more.
	Fenced Fault = "fenced"
	// WrongType means that a key holds something else than wildout keeps there.
	WrongType Fault = "wrongtype"
	// Refused is any other answer that is an error.
	Refused Fault = "refused"
	// Foreign means that the error is none of Redis.
	Foreign Fault = "foreign"
)

// trait is what is known of a fault.
type trait struct {
	// counted is the kind under which it is counted; "": it belongs to the
	// protocol between this package and Redis, or was us.
	counted ErrorKind
	// passes: the same command may succeed later, with nothing done about it here.
	passes bool
	// general: nothing else would be answered.
	general bool
}

var traits = map[Fault]trait{
	Away:            {ErrorNetwork, true, true},
	Slow:            {ErrorTimeout, true, true},
	Untrusted:       {ErrorNetwork, true, true},
	Stopped:         {"", false, true},
	Starting:        {ErrorRefused, true, true},
	Busy:            {ErrorRefused, true, true},
	Full:            {ErrorRefused, true, true},
	Unsaved:         {ErrorRefused, true, true},
	ReadOnly:        {ErrorRefused, true, true},
	Unauthenticated: {ErrorDenied, true, true},
	Forbidden:       {ErrorDenied, true, true},
	Elsewhere:       {"", true, true},
	NoScript:        {"", true, false},
	Unblocked:       {"", true, false},
	WrongType:       {ErrorAnswer, false, false},
	Refused:         {ErrorAnswer, false, false},
	Foreign:         {ErrorNetwork, false, true}, // from the client, it is of the way to Redis
}

// answers are errors of Redis, by how their text begins.
var answers = []struct {
	begin string
	fault Fault
}{
	{"NOGROUP", NoGroup},
	{"ERR no such key", NoGroup},
	{"BUSYGROUP", GroupExists},
	{"NOSCRIPT", NoScript},
	{"UNBLOCKED", Unblocked},
	{"FENCED", Fenced},
	{"WRONGTYPE", WrongType},
	{"OOM", Full},
	{"MISCONF", Unsaved},
	{"READONLY", ReadOnly},
	{"LOADING", Starting},
	{"CLUSTERDOWN", Starting},
	{"MASTERDOWN", Starting},
	{"NOREPLICAS", Busy},
	{"BUSY", Busy},
	{"TRYAGAIN", Elsewhere},
	{"ERR max number of clients", Busy},
	{"WRONGPASS", Unauthenticated},
	{"NOAUTH", Unauthenticated},
	{"NOPERM", Forbidden},
	{"DENIED", Forbidden},
	{"MOVED", Elsewhere},
	{"ASK ", Elsewhere},
}

// FaultOf says why Redis has not done what it was asked.
func FaultOf(err error) Fault {
	var answered redis.Error
	switch {
	case err == nil:
		return NoFault
	case errors.Is(err, redis.Nil):
		return Absent
	case errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return Stopped
	case errors.As(err, &answered):
		for _, a := range answers {
			if strings.HasPrefix(answered.Error(), a.begin) {
				return a.fault
			}
		}
		return Refused
	}
	return wayFault(err)
}

// wayFault is FaultOf for what Redis has not answered.
func wayFault(err error) Fault {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout),
		errors.As(err, &network) && network.Timeout():
		return Slow
	case errors.As(err, &certificate), errors.As(err, &record):
		return Untrusted
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		strings.Contains(err.Error(), "cluster has no nodes"): // go-redis has no type for it
		return Away
	}
	return Foreign
}

// Passes reports whether what failed so may succeed later by itself: Redis was
// away, or refused for a reason that passes.
func (f Fault) Passes() bool { return traits[f].passes }

// General reports whether whatever else is asked fails too, so that the rest of
// a pipeline is not worth a look.
func (f Fault) General() bool { return traits[f].general }

// Temporary reports whether what failed with err may succeed later by itself.
func Temporary(err error) bool { return FaultOf(err).Passes() }
