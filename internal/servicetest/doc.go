// Package servicetest starts real servers for tests, and only for tests:
// Redis, PostgreSQL, Prometheus and the API server of Kubernetes, on free ports of
// 127.0.0.1, in temporary folders. Each is stopped when its test ends, and dies
// with the test process even when that is killed. Tests can stop, kill, restart
// and freeze a server to see what their code makes of it. The package must not
// know what the servers are used for. It also runs scripts in Node.js, with the
// npm packages of hack/node.
//
// A missing program fails the test; `make services envtest` installs what is
// needed.
//
// A test that looks for leaked goroutines while a server runs should ignore
// the one that waits for it:
//
//	goleak.IgnoreAnyFunction("github.com/wildout/wildout/internal/servicetest.(*process).run")
package servicetest
