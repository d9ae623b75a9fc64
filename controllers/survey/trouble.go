package survey

import (
	"errors"

	"github.com/wildout/wildout/controllers/survey/guard"
	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// troubleOf is an error of the store as it is told. Its words are ours, and none
// of what has answered: who may name a server must not make the operator read
// out what is there.
func troubleOf(err error) *view.Trouble {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	return &view.Trouble{Kind: kind, Words: wordsOf(err, kind)}
}

func kindOf(err error) view.TroubleKind {
	switch {
	case errors.Is(err, guard.ErrAddress):
		return view.NotAllowed
	case errors.Is(err, errPanicked), errors.Is(err, guard.ErrNotRedis), errors.Is(err, guard.ErrTooMuch):
		return view.Refused
	}
	switch store.FaultOf(err) {
	case store.Away, store.Slow, store.Untrusted, store.Starting, store.Foreign:
		return view.Unreachable
	case store.Unauthenticated, store.Forbidden:
		return view.Unauthorized
	case store.ReadOnly:
		return view.ReadOnly
	case store.Full, store.Unsaved:
		return view.Full
	}
	return view.Refused
}

func wordsOf(err error, kind view.TroubleKind) string {
	switch {
	case errors.Is(err, errPanicked):
		return "what answers makes the operator's Redis client fail; the operator's log says more"
	case errors.Is(err, guard.ErrAddress):
		return "the Redis URL leads to an address that the operator may not connect to (its --redis-addresses): use one that it may, or have it added"
	case errors.Is(err, guard.ErrNotRedis):
		return "what answers at the address in the Redis URL is no Redis: are host and port right?"
	case errors.Is(err, guard.ErrTooMuch):
		return "what Redis answers is larger than the operator reads: is this a Redis, and are there consumer groups or fields that nobody needs?"
	case errors.Is(err, guard.ErrCrowded):
		return "the operator reads too many large answers at the same time; it tries again"
	}
	if advice := store.Advice(err); advice != "" {
		return advice
	}
	if kind == view.Unreachable {
		return "the connection to Redis broke"
	}
	return "Redis refuses what the operator asks; the operator's log says what"
}

// trouble is troubleOf for what was in this trouble, or none, before. While it
// is of the same kind it keeps its words; another is logged, with what the
// server has said.
func (p *Poller) trouble(err error, was *view.Trouble, about ...any) *view.Trouble {
	is := troubleOf(err)
	if is.Same(was) {
		return was
	}
	if err != nil {
		p.o.Logger.Warn("trouble with a Redis", append(about, "error", short(err.Error()))...)
	}
	return is
}

// short is a text that may be long, and not ours.
func short(text string) string {
	const most = 300
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
