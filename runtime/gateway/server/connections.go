package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections bounds how many connections a listener gives out. When all are
// taken, the one that has been idle for longest makes room.
type connections struct {
	net.Listener
	slots chan struct{}

	mu   sync.Mutex
	idle *list.List // of net.Conn, the longest first
	at   map[net.Conn]*list.Element
}

func limit(l net.Listener, most int) *connections {
	return &connections{Listener: l, slots: make(chan struct{}, most), idle: list.New(), at: map[net.Conn]*list.Element{}}
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case c.slots <- struct{}{}:
	default:
		c.evict()
		c.slots <- struct{}{} // a connection that is not idle ends within its time limits
	}
	return &connection{Conn: conn, release: sync.OnceFunc(func() { <-c.slots })}, nil
}

// evict closes the connection that has been idle for longest.
func (c *connections) evict() {
	c.mu.Lock()
	first := c.idle.Front()
	if first == nil {
		c.mu.Unlock()
		return
	}
	conn := first.Value.(net.Conn)
	c.forget(conn)
	c.mu.Unlock()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // without a last word, which may have to wait
	}
	_ = conn.Close()
}

func (c *connections) forget(conn net.Conn) {
	if e := c.at[conn]; e != nil {
		c.idle.Remove(e)
		delete(c.at, conn)
	}
}

// state is told by net/http what becomes of a connection.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(conn)
	if state == http.StateIdle {
		c.at[conn] = c.idle.PushBack(conn)
	}
}

// connection gives its place back when it is closed.
type connection struct {
	net.Conn
	release func()
}

func (c *connection) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}
