// Package admission decides what becomes of a stream entry: which waiting runs
// it is told to, whether it starts a run, and whether that begins now, later or
// never; and it is the one way out of every run. In this order:
//
//	deliver  runs that wait for the event are told, whatever the limits say
//	filter   the triggers' `if`
//	once     the idempotency key, then the rate limit, which drops
//	begin    a start of the throttle and all keyed slots in one write, or none
//	end      parent, key, followers, lines, waits, children and record in one write
//
// What a decision stands on is behind a Port. The package must not know Redis,
// engines or handlers, nor any clock but the one that it was handed.
package admission
