// Package scenarios has only tests: what the shipped functions promise
// together, on real Redis, PostgreSQL and SMTP, in runner processes of their
// own that the tests may kill. The functions are the manifests of
// config/functions as they are, but for the changes that a test names. Each
// scenario says what it caused (runs, rows, mails) while it causes it, and
// afterwards everything there is must be exactly that. The package must not
// know how runs are stored or how handlers work.
package scenarios
