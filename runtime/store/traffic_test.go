package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
)

// answer is an error that Redis answered.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError implements redis.Error.
func (a answer) RedisError() {}

func TestErrorKind(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want ErrorKind // "": it does not count
	}{
		"broken":          {io.EOF, ErrorNetwork},
		"refused":         {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, ErrorNetwork},
		"too late":        {fmt.Errorf("read: %w", os.ErrDeadlineExceeded), ErrorTimeout},
		"too late for us": {context.DeadlineExceeded, ErrorTimeout},
		"no connection":   {redis.ErrPoolTimeout, ErrorTimeout},
		"full":            {answer("OOM command not allowed when used memory > 'maxmemory'."), ErrorRefused},
		"a replica":       {answer("READONLY You can't write against a read only replica."), ErrorRefused},
		"password":        {answer("WRONGPASS invalid username-password pair"), ErrorDenied},
		"something else":  {answer("WRONGTYPE Operation against a key"), ErrorAnswer},
		"script unknown":  {answer("NOSCRIPT No matching script."), ""},
		"group is there":  {answer("BUSYGROUP Consumer Group name already exists"), ""},
		"no stream":       {answer("ERR no such key"), ""},
		"fenced":          {answer("FENCED the entry has another owner"), ""},
		"given up by us":  {context.Canceled, ""},
		"closed by us":    {redis.ErrClosed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			kind, counts := errorKind(tc.err)
			if kind != tc.want || counts != (tc.want != "") {
				t.Errorf("errorKind(%v) = %q, %v, want %q", tc.err, kind, counts, tc.want)
			}
		})
	}
}
