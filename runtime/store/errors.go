package store

import (
	"errors"
	"fmt"
	"strings"
)

const (
	slow   = "Redis does not answer in time: is it overloaded, does a firewall or NetworkPolicy drop the packets, or does it speak no TLS at this port (rediss://)?"
	broken = "the connection to Redis broke: if it always does, Redis may want TLS (rediss://), have no place for another client (maxclients), or a proxy before it has no server"
)

// advices are what to do about errors, by a part of their text, the first that
// fits: the hands that a fault needs are the same, what they do may differ.
var advices = []struct{ mark, advice string }{
	{"WRONGPASS", "Redis refuses the user name or password: check the Redis URL (key `url` of the Secret)"},
	{"NOAUTH", "Redis asks for a password and the Redis URL has none: write redis://:password@host:port"},
	{"NOPERM", "the Redis user may not do this: give it access to the keys wo:* and to scripts, streams and sorted sets"},
	{"DENIED", "Redis is in protected mode and takes nobody from another host: give it a password"},
	{"OOM ", "Redis is at maxmemory: raise it, or shorten the retention of event types and the history of functions"},
	{"MISCONF", "Redis cannot save to its disk and refuses writes: look at its log, its disk may be full"},
	{"READONLY", "this Redis is a replica: point the Redis URL at the primary"},
	{"LOADING", "Redis is loading its data after a start; this passes by itself"},
	{"CLUSTERDOWN", "the Redis cluster does not know who has its slots: look at CLUSTER INFO of its nodes"},
	{"MASTERDOWN", "this Redis is a replica that has lost its primary: point the Redis URL at the primary"},
	{"NOREPLICAS", "Redis has fewer replicas than min-replicas-to-write and refuses writes: look at its replicas"},
	{"max number of clients", "Redis has as many clients as it may (maxclients): raise it, or run fewer runners"},
	{"BUSY ", "Redis is busy with a script: whose is it? (SCRIPT KILL ends one that has written nothing)"},
	{"MOVED", "this Redis is a node of a cluster: name several of its nodes, as redis://HOST:6379,HOST:6379"},
	{"WRONGTYPE", "a key of wildout holds something else: does another application use this Redis, with keys wo:*?"},
	{"certificate signed by unknown authority", "the certificate of Redis is signed by an authority that is not trusted: put its certificate, in PEM, into the key `ca.crt` of the Secret (of a runner: WILDOUT_REDIS_CA_FILE)"},
	{"x509: ", "the certificate of Redis does not fit the host in the Redis URL, or is not valid now: renew it, or correct the host"},
	{"first record does not look like a TLS handshake", "no Redis with TLS answers at this port: write redis:// in place of rediss://, or the port for TLS"},
	{"connection refused", "nothing listens at the address in the Redis URL: is Redis running, are host and port right?"},
	{"no such host", "the host in the Redis URL does not exist in DNS"},
	{"i/o timeout", slow},
	{"deadline exceeded", slow},
	{"EOF", broken},
	{"connection reset", broken},
	{"broken pipe", broken},
}

// explained is an error with what to do about it.
type explained struct {
	advice string
	err    error
}

func (e *explained) Error() string { return e.advice + " (" + e.err.Error() + ")" }
func (e *explained) Unwrap() error { return e.err }

// Advice is what Explain says to do about an error, without a word of what the
// server has answered; "": it does not know.
func Advice(err error) string {
	var e *explained
	if errors.As(err, &e) {
		return e.advice
	}
	return ""
}

// Explain adds to an error of Redis what to do about it. Nil stays nil, and what
// is explained stays as it is.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, known := range advices {
		if strings.Contains(text, known.mark) {
			return &explained{known.advice, err}
		}
	}
	return fmt.Errorf("redis: %w", err)
}
