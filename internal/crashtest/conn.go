package crashtest

import (
	"fmt"
	"net"
	"sync"
)

// Conn is a connection to Redis for what a test and its handlers record and
// look up past the code under test. It is safe for use by many goroutines.
type Conn struct {
	mu   sync.Mutex
	conn net.Conn
	in   *wire
}

// Dial connects to the Redis server at addr, host:port.
func Dial(addr string) (*Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return &Conn{conn: conn, in: newWire(conn)}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends a command and returns its answer: a string, an int64, nil or a
// []any of these. An error of the server is a ServerError.
func (c *Conn) Do(args ...any) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.conn.Write(appendCommand(nil, args)); err != nil {
		return nil, fmt.Errorf("%v: %w", args[0], err)
	}
	answer, _, err := c.in.next()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", args[0], err)
	}
	if refused, ok := answer.(ServerError); ok {
		return nil, fmt.Errorf("%v: %w", args[0], refused)
	}
	return answer, nil
}

// Strings sends a command and returns its answer as a list of texts, whatever
// its numbers and gaps.
func (c *Conn) Strings(args ...any) ([]string, error) {
	answer, err := c.Do(args...)
	if err != nil {
		return nil, err
	}
	list, ok := answer.([]any)
	if !ok && answer != nil {
		list = []any{answer}
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprint(v)
	}
	return texts, nil
}
