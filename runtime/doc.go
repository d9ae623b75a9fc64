// Package wildout is what the author of a handler imports:
//
//	import wildout "github.com/wildout/wildout/runtime"
//
// A handler is a typed Go function, registered under the name that manifests
// use. It may be called more than once for the same step (at-least-once); its
// RunInfo carries the idempotency key that is the same on every attempt.
// The package must not know how runs are stored or scheduled.
package wildout
