// Package e2e has only tests: what a person who installs wildout on a cluster
// is promised, seen on the cluster of the current kubeconfig, with real pods.
// README.md says what the cluster must have. The package is a module of its
// own, so that `go test ./...` does not reach for somebody's cluster.
package e2e
