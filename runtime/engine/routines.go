package engine

import "sync"

// Routines runs functions in goroutines that are used again: a stack that has
// grown once is not grown anew for every run and every attempt. The zero value
// is ready. Close ends what is idle.
type Routines struct {
	mu   sync.Mutex
	idle []chan func()
	shut bool
}

// maxIdle bounds the goroutines that wait for work.
const maxIdle = 1024

// Go runs f in a goroutine.
func (r *Routines) Go(f func()) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		work := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		work <- f
		return
	}
	r.mu.Unlock()
	work := make(chan func(), 1)
	go r.loop(work, f)
}

func (r *Routines) loop(work chan func(), f func()) {
	for f != nil {
		f()
		r.mu.Lock()
		if r.shut || len(r.idle) >= maxIdle {
			r.mu.Unlock()
			return
		}
		r.idle = append(r.idle, work)
		r.mu.Unlock()
		f = <-work
	}
}

// Close ends the goroutines that are idle, and each of the others after its
// function.
func (r *Routines) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, work := range r.idle {
		work <- nil
	}
	r.idle, r.shut = nil, true
}
