// Package controllers turns custom resources into Kubernetes objects and
// conditions: observe (read) → desired (pure) → apply (server-side, one field
// owner) → health (pure) → one status apply, when a person would notice. What
// is in Redis is looked at outside the reconcile loop, by survey. The package
// must not know how runs work: that is the runners' part.
package controllers
