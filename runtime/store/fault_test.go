package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// answer is an error that Redis answered.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError implements redis.Error.
func (a answer) RedisError() {}

// For each error: its fault, how it is counted ("": it is not), whether it passes
// by itself, and a part of what a person is told to do.
func TestFaultOf(t *testing.T) {
	for name, tc := range map[string]struct {
		err     error
		fault   Fault
		counted ErrorKind
		passes  bool
		advice  string
	}{
		"none":            {nil, NoFault, "", false, ""},
		"no such thing":   {redis.Nil, Absent, "", false, ""},
		"password":        {answer("WRONGPASS invalid username-password pair"), Unauthenticated, ErrorDenied, true, "check the Redis URL"},
		"no password":     {answer("NOAUTH Authentication required"), Unauthenticated, ErrorDenied, true, "the Redis URL has none"},
		"not allowed":     {answer("NOPERM this user has no permissions to run the 'get' command"), Forbidden, ErrorDenied, true, "give it access"},
		"protected":       {answer("DENIED Redis is running in protected mode because..."), Forbidden, ErrorDenied, true, "protected mode"},
		"a replica":       {answer("READONLY You can't write against a read only replica"), ReadOnly, ErrorRefused, true, "point the Redis URL at the primary"},
		"a lost replica":  {answer("MASTERDOWN Link with MASTER is down"), Starting, ErrorRefused, true, "lost its primary"},
		"full":            {answer("OOM command not allowed when used memory > 'maxmemory'"), Full, ErrorRefused, true, "raise it"},
		"no disk":         {answer("MISCONF Errors writing to the AOF file"), Unsaved, ErrorRefused, true, "its disk may be full"},
		"starting":        {answer("LOADING Redis is loading the dataset in memory"), Starting, ErrorRefused, true, "passes by itself"},
		"cluster":         {answer("CLUSTERDOWN The cluster is down"), Starting, ErrorRefused, true, "CLUSTER INFO"},
		"no replicas":     {answer("NOREPLICAS Not enough good replicas to write."), Busy, ErrorRefused, true, "min-replicas-to-write"},
		"busy":            {answer("BUSY Redis is busy running a script."), Busy, ErrorRefused, true, "SCRIPT KILL"},
		"too many":        {answer("ERR max number of clients reached"), Busy, ErrorRefused, true, "maxclients"},
		"moved":           {answer("MOVED 3999 127.0.0.1:6381"), Elsewhere, "", true, "name several of its nodes"},
		"migrating":       {answer("TRYAGAIN Multiple keys request during rehashing of slot"), Elsewhere, "", true, ""},
		"group is there":  {answer("BUSYGROUP Consumer Group name already exists"), GroupExists, "", false, ""},
		"no group":        {answer("NOGROUP No such key 'x' or consumer group 'f' in XREADGROUP"), NoGroup, "", false, ""},
		"no stream":       {answer("ERR no such key"), NoGroup, "", false, ""},
		"script unknown":  {answer("NOSCRIPT No matching script."), NoScript, "", true, ""},
		"stream deleted":  {answer("UNBLOCKED the stream key no longer exists"), Unblocked, "", true, ""},
		"fenced":          {answer("FENCED the entry has another owner"), Fenced, "", false, ""},
		"another type":    {answer("WRONGTYPE Operation against a key"), WrongType, ErrorAnswer, false, "another application"},
		"anything else":   {answer("ERR unknown command"), Refused, ErrorAnswer, false, ""},
		"no connection":   {redis.ErrPoolTimeout, Slow, ErrorTimeout, true, ""},
		"hangs":           {context.DeadlineExceeded, Slow, ErrorTimeout, true, "does not answer in time"},
		"too late":        {os.ErrDeadlineExceeded, Slow, ErrorTimeout, true, "does not answer in time"},
		"broken":          {io.EOF, Away, ErrorNetwork, true, "may want TLS"},
		"in the middle":   {io.ErrUnexpectedEOF, Away, ErrorNetwork, true, "may want TLS"},
		"refused":         {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, Away, ErrorNetwork, true, "nothing listens"},
		"no name":         {&net.DNSError{Err: "no such host", Name: "redis"}, Away, ErrorNetwork, true, "does not exist in DNS"},
		"no nodes":        {errors.New("redis: cluster has no nodes"), Away, ErrorNetwork, true, ""},
		"authority":       {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, Untrusted, ErrorNetwork, true, "ca.crt"},
		"other name":      {&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "redis"}}, Untrusted, ErrorNetwork, true, "does not fit"},
		"no TLS":          {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, Untrusted, ErrorNetwork, true, "redis://"},
		"given up by us":  {context.Canceled, Stopped, "", false, ""},
		"closed by us":    {redis.ErrClosed, Stopped, "", false, ""},
		"nothing of ours": {errors.New("invalid character"), Foreign, ErrorNetwork, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			explained := Explain(tc.err)
			for _, err := range []error{tc.err, explained} {
				if err != nil {
					err = fmt.Errorf("read: %w", err)
				}
				if got := FaultOf(err); got != tc.fault {
					t.Errorf("FaultOf(%v) = %q, want %q", err, got, tc.fault)
				}
				if got := Temporary(err); got != tc.passes {
					t.Errorf("Temporary(%v) = %v", err, got)
				}
			}
			if got := Advice(explained); !strings.Contains(got, tc.advice) || tc.advice == "" && got != "" {
				t.Errorf("the advice for %v is %q, want %q", tc.err, got, tc.advice)
			}
			expectCounted(t, tc.err, tc.counted)
		})
	}
}

// expectCounted fails the test unless an error is counted under that kind alone.
func expectCounted(t *testing.T, err error, kind ErrorKind) {
	t.Helper()
	c := &Conn{traffic: &trafficHook{}}
	c.traffic.count(err)
	for k, n := range c.Traffic().Errors {
		if want := k == kind; want != (n == 1) {
			t.Errorf("%v is counted %d times as %q, want it as %q", err, n, k, kind)
		}
	}
}

// What concerns one command leaves the rest of a pipeline alone.
func TestGeneralFaults(t *testing.T) {
	for fault, general := range map[Fault]bool{
		NoFault: false, Absent: false, NoGroup: false, GroupExists: false, WrongType: false, Refused: false, NoScript: false,
		Away: true, Slow: true, Untrusted: true, Full: true, ReadOnly: true, Unauthenticated: true, Starting: true, Stopped: true, Foreign: true,
	} {
		if fault.General() != general {
			t.Errorf("%q.General() = %v", fault, !general)
		}
	}
}
