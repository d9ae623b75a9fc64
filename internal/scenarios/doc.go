// Package scenarios is what the shipped functions promise together, as specs of
// ginkgo: on real Redis, PostgreSQL and SMTP, with runners that are killed. The
// functions are the manifests of config/functions as they are, but for the
// changes that a scenario names. Each scenario says what it caused (runs, rows,
// mails) while it causes it, and afterwards everything there is must be exactly
// that.
//
// The same specs hold on every Ground: on processes of this machine (the test of
// this package), and in a cluster (hack/e2e). The package is for tests alone.
// It must not know how runs are stored, how handlers work, or what a ground is
// made of.
package scenarios
