package survey

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/run"
)

// mostCode is how many things that runs wait for are told, and handlers of each.
const mostCode = 5

// named is what a handler or a version may be called: a server can answer
// anything, and this stands in a condition.
var named = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$`)

// codeOf says for which code runs wait.
func codeOf(all []run.Lack) string {
	var words []string
	for i := range all {
		if len(words) == mostCode {
			words = append(words, "and more")
			break
		}
		words = append(words, lackOf(&all[i]))
	}
	return strings.Join(words, "; ")
}

func lackOf(l *run.Lack) string {
	version := ""
	if named.MatchString(l.Version) {
		version = " of version " + l.Version
	}
	var handlers []string
	for _, name := range l.Handlers {
		if named.MatchString(name) && len(handlers) < mostCode {
			handlers = append(handlers, name)
		}
	}
	slices.Sort(handlers)
	switch {
	case l.Format > 0:
		return fmt.Sprintf("a later release, which wrote journals of format %d", l.Format)
	case len(handlers) > 0:
		return "handler " + strings.Join(handlers, ", ") + version
	case len(l.Handlers) > 0:
		return "a handler" + version
	}
	return "a release that can read the function as it was" + version
}
