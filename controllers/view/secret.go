package view

import "strings"

// Problem is what is wrong with a Secret.
type Problem int

// What can be wrong with a Secret.
const (
	NotRead Problem = iota
	Fine
	NotFound
	Forbidden
	Invalid
)

// Secret is what is known of the Secret with the URL of a Redis.
type Secret struct {
	Problem Problem
	// Detail says more about a Secret that is Invalid.
	Detail string
	// Content stands for what a Secret that is Fine holds.
	Content Content
}

// Content stands for what a Secret holds: it changes with it, says which of the
// keys are there, and nothing else. Annotations and statuses keep it. "" is of a
// Secret that nobody has read.
type Content string

const withCA = "-ca"

// NewContent returns the Content of a digest.
func NewContent(digest string, hasCA bool) Content {
	if hasCA {
		digest += withCA
	}
	return Content(digest)
}

// HasCA reports whether the Secret has certificates of authorities, as its key
// ca.crt.
func (c Content) HasCA() bool { return strings.HasSuffix(string(c), withCA) }
