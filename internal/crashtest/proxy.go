package crashtest

import (
	"fmt"
	"maps"
	"net"
	"sync"
)

// Proxy passes commands on to a Redis server and acts at one Point.
type Proxy struct {
	listener net.Listener
	target   string
	scripts  Scripts
	links    sync.WaitGroup

	mu     sync.Mutex
	open   map[*link]struct{}
	closed bool
	point  *Point
	hit    func()
	fits   int            // commands so far that the point names
	seen   map[string]int // commands by name
	frozen chan struct{}  // nil, or closed by Thaw

	reached  chan struct{}
	released chan struct{}
	answered chan struct{}
	answer   any
}

// NewProxy listens on a free local port and passes what comes on to the Redis
// server at target, host:port. Close ends it.
func NewProxy(target string, scripts Scripts) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a proxy: %w", err)
	}
	p := &Proxy{listener: listener, target: target, scripts: scripts, open: map[*link]struct{}{}, seen: map[string]int{},
		reached: make(chan struct{}), released: make(chan struct{}), answered: make(chan struct{})}
	p.links.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Arm sets the point, once. hit is called when it is reached, while the
// command or its answer waits; it may be nil.
func (p *Proxy) Arm(point Point, hit func()) {
	if hit == nil {
		hit = func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.point, p.hit = &point, hit
}

// Reached is closed when the point was reached and its hit function is done.
func (p *Proxy) Reached() <-chan struct{} { return p.reached }

// Release lets the command of a Late point go on.
func (p *Proxy) Release() { close(p.released) }

// Answered is closed when Redis has answered the command of a Late point.
func (p *Proxy) Answered() <-chan struct{} { return p.answered }

// Answer is the answer, once Answered is closed: a string, an int64, nil, a
// ServerError or a []any of these.
func (p *Proxy) Answer() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer
}

// Freeze holds back everything in both directions, like a network that has
// come apart: connections stay open and no byte gets through.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// Thaw ends Freeze. What was held back goes on, late.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// Seen returns how many commands went by, by name.
func (p *Proxy) Seen() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.seen)
}

// Close breaks all connections and ends the proxy.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.open {
		l.close()
	}
	p.mu.Unlock()
	p.Thaw()
	select {
	case <-p.released:
	default:
		p.Release()
	}
	p.links.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close() // the client sees what it would see without us
			continue
		}
		l := &link{proxy: p, client: client, server: server}
		p.mu.Lock()
		if p.closed {
			l.close()
		}
		p.open[l] = struct{}{}
		p.mu.Unlock()
		p.links.Go(l.requests)
		p.links.Go(l.answers)
	}
}

// pass waits while the proxy is frozen.
func (p *Proxy) pass() {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (p *Proxy) report(answer any) {
	p.mu.Lock()
	p.answer = answer
	p.mu.Unlock()
	close(p.answered)
}

// judge counts a command and reports whether it is the one of the point.
func (p *Proxy) judge(args []string) (fault Fault, is bool) {
	name := p.scripts.name(args)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[name]++
	if p.point == nil || !p.point.fits(name, args) {
		return 0, false
	}
	p.fits++
	return p.point.Fault, p.fits == max(1, p.point.Nth)
}

// link is one connection of the runner and its twin to the server.
type link struct {
	proxy  *Proxy
	client net.Conn
	server net.Conn

	mu sync.Mutex
	// awaited has what to do with each answer that has not come yet.
	awaited []onAnswer
}

type onAnswer int

const (
	forward onAnswer = iota
	swallow          // the point: After or Cut
	report           // the point: Late
)

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// requests passes commands on, one by one.
func (l *link) requests() {
	defer l.close()
	in := newWire(l.client)
	for {
		value, raw, err := in.next()
		if err != nil {
			return
		}
		l.proxy.pass()
		then := forward
		if fault, is := l.proxy.judge(texts(value)); is {
			switch fault {
			case Before:
				l.proxy.hit()
				close(l.proxy.reached)
				return
			case Late:
				l.proxy.hit()
				close(l.proxy.reached)
				<-l.proxy.released
				then = report
			default:
				then = swallow
			}
		}
		l.mu.Lock()
		l.awaited = append(l.awaited, then)
		l.mu.Unlock()
		if _, err := l.server.Write(raw); err != nil {
			return
		}
	}
}

// answers passes answers back, one by one.
func (l *link) answers() {
	defer func() {
		l.close()
		l.proxy.mu.Lock()
		delete(l.proxy.open, l)
		l.proxy.mu.Unlock()
	}()
	in := newWire(l.server)
	for {
		value, raw, err := in.next()
		if err != nil {
			return
		}
		if _, unasked := value.(push); !unasked {
			switch l.shift() {
			case swallow:
				l.proxy.hit()
				close(l.proxy.reached)
				return
			case report:
				l.proxy.report(value)
			case forward:
			}
		}
		l.proxy.pass()
		// A client that is gone must not keep its later commands from Redis:
		// they may be under way.
		_, _ = l.client.Write(raw)
	}
}

func (l *link) shift() onAnswer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.awaited) == 0 {
		return forward
	}
	first := l.awaited[0]
	l.awaited = l.awaited[1:]
	return first
}

// texts returns a command as its words; one without any as one empty word.
func texts(command any) []string {
	list, _ := command.([]any)
	words := make([]string, max(1, len(list)))
	for i, word := range list {
		words[i], _ = word.(string)
	}
	return words
}
