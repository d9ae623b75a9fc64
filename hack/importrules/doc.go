// Package importrules checks which room of the repository may import which
// and link. It has no code but its test: the linter reports the direct
// imports as one types, this catches what comes in through others.
package importrules
