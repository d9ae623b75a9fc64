// Package pack makes container images without a container engine: a program of
// a Go module and what it needs, FROM nothing, as an OCI archive. The same
// source and the same Go make the same bytes, on every machine. It must not know
// which programs there are.
package pack
