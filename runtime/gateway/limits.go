package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

const (
	// lookAhead is for how long a gateway takes events of a rate in advance, so
	// that it need not ask for every request, and never more than an eighth of
	// the burst: that is how far a rate may be exceeded for each gateway.
	lookAhead   = 100 * time.Millisecond
	aheadBurst  = 8
	returnAfter = time.Second // what was not used goes back
	// scarce is the time between two questions while there is not enough.
	scarce = 10 * time.Millisecond
)

// limits keeps the rates of senders. The account is in the backend, for all
// gateways; a small advance of it is here.
type limits struct {
	backend Backend
	timeout time.Duration

	mu  sync.Mutex
	all map[string]*limit // by sender
}

// limit is the advance of one sender.
type limit struct {
	asking chan struct{} // has one place: one request at a time asks the backend

	mu     sync.Mutex
	rate   store.SenderRate
	tokens int
	expire time.Time // then tokens go back
	next   time.Time // before it the backend has none
}

// take takes n events off the sender's rate, or none. The error is a *Refusal,
// or of the backend.
func (l *limits) take(ctx context.Context, sender *Sender, n int) error {
	if sender.Rate == nil {
		return nil
	}
	if n > sender.Rate.Burst {
		return &Refusal{Status: http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("the request has %d events, and %s may send %d at once: send fewer at a time", n, sender.Name, sender.Rate.Burst)}
	}
	lim := l.of(sender)
	if wait, ok := lim.spend(n, time.Now()); ok || wait > 0 {
		return overRate(sender, wait)
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	select {
	case lim.asking <- struct{}{}:
		defer func() { <-lim.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// Whoever asked meanwhile may have brought enough.
	wait, ok := lim.spend(n, time.Now())
	if !ok && wait == 0 {
		if err := lim.ask(ctx, l.backend, n); err != nil {
			return err
		}
		if wait, ok = lim.spend(n, time.Now()); !ok && wait == 0 {
			wait = sender.Rate.Interval() // spent by others at once
		}
	}
	return overRate(sender, wait)
}

// of returns the advance of a sender; its rate may have changed.
func (l *limits) of(sender *Sender) *limit {
	rate := store.SenderRate{Sender: sender.Name, Interval: sender.Rate.Interval(), Burst: sender.Rate.Burst}
	l.mu.Lock()
	defer l.mu.Unlock()
	lim := l.all[sender.Name]
	if lim == nil {
		lim = &limit{asking: make(chan struct{}, 1), rate: rate}
		if l.all == nil {
			l.all = map[string]*limit{}
		}
		l.all[sender.Name] = lim
	}
	lim.mu.Lock()
	defer lim.mu.Unlock()
	if lim.rate != rate {
		lim.rate, lim.next = rate, time.Time{}
	}
	return lim
}

// spend takes n of the advance. Otherwise it returns how long the backend will
// have too few; 0: it must be asked.
func (l *limit) spend(n int, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	usable := l.tokens
	if now.After(l.expire) {
		usable = 0
	}
	if usable >= n {
		l.tokens -= n
		return 0, true
	}
	enough := l.next.Add(time.Duration(n-usable-1) * l.rate.Interval)
	return max(0, enough.Sub(now)), false
}

// ask brings what n events lack, and an advance.
func (l *limit) ask(ctx context.Context, backend Backend, n int) error {
	l.mu.Lock()
	rate, stale := l.rate, 0
	if time.Now().After(l.expire) {
		stale, l.tokens = l.tokens, 0
	}
	want := n - l.tokens + min(int(lookAhead/max(1, rate.Interval)), rate.Burst/aheadBurst)
	l.mu.Unlock()
	if stale > 0 {
		if err := backend.ReturnEvents(ctx, rate, stale); err != nil {
			return err
		}
	}
	got, wait, err := backend.TakeEvents(ctx, rate, want)
	if err != nil {
		return err
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens += got
	l.expire = now.Add(returnAfter)
	l.next = time.Time{}
	if got < want {
		// Who is over the rate shall not ask for each event that becomes free.
		l.next = now.Add(max(wait, min(scarce, time.Duration(rate.Burst/2)*rate.Interval)))
	}
	return nil
}

// overRate refuses what must wait; nil when nothing must.
func overRate(sender *Sender, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return &Refusal{Status: http.StatusTooManyRequests, RetryAfter: wait,
		Message: fmt.Sprintf("%s may send %d events in %s, and has: send them again later (nothing was published)", sender.Name, sender.Rate.Limit, sender.Rate.Period)}
}

// sweep gives back what was taken in advance and not used.
func (l *limits) sweep(ctx context.Context) {
	l.mu.Lock()
	all := make([]*limit, 0, len(l.all))
	for _, lim := range l.all {
		all = append(all, lim)
	}
	l.mu.Unlock()
	for _, lim := range all {
		lim.mu.Lock()
		rate, unused := lim.rate, lim.tokens
		if unused == 0 || time.Now().Before(lim.expire) {
			lim.mu.Unlock()
			continue
		}
		lim.tokens, lim.next = 0, time.Time{}
		lim.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, l.timeout)
		_ = l.backend.ReturnEvents(limited, rate, unused) // else they count as sent: the sender waits a little longer
		cancel()
	}
}
