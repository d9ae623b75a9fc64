package event

import "strings"

// maxTraceState is the largest tracestate that is kept, in bytes: the least
// that W3C Trace Context asks for (section 3.3.1.5), and a bound on what a
// client may add to every event.
const maxTraceState = 512

// TraceContext returns the W3C trace context of two header values as an event
// carries it. What is not well-formed is dropped, as the recommendation asks
// (Trace Context, sections 3.2 and 4.3): it must not cost the event.
func TraceContext(traceparent, tracestate string) (parent, state string) {
	parent = strings.TrimSpace(traceparent)
	if !validTraceParent(parent) {
		return "", ""
	}
	state = strings.TrimSpace(tracestate)
	if len(state) > maxTraceState || !printable(state) {
		state = ""
	}
	return parent, state
}

// validTraceParent reports whether s is version-traceid-parentid-flags. Later
// versions may add fields at the end.
func validTraceParent(s string) bool {
	const length = 55 // 2 + 32 + 16 + 2 hexadecimal digits and 3 hyphens
	if len(s) < length || len(s) > 2*length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, trace, span, flags := s[:2], s[3:35], s[36:52], s[53:55]
	if !lowerHex(version+trace+span+flags) || version == "ff" || zeros(trace) || zeros(span) {
		return false
	}
	return len(s) == length || version != "00" && s[length] == '-' && printable(s)
}

func lowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func zeros(s string) bool { return strings.Trim(s, "0") == "" }

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
