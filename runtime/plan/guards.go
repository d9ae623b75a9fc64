package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// count is the number of elements of a list.
func count(v ref.Val) int {
	if l, ok := v.(traits.Lister); ok {
		n, _ := l.Size().(types.Int)
		return int(n)
	}
	return 0
}

func textArg(args []ref.Val, i int) string {
	if i < len(args) {
		if s, ok := args[i].(types.String); ok {
			return string(s)
		}
	}
	return ""
}

func tooLong() error { return fmt.Errorf("would make a text of more than %d bytes", maxBytes) }

func replaceGuard(args []ref.Val) error {
	s, old, replacement := textArg(args, 0), textArg(args, 1), textArg(args, 2)
	times := strings.Count(s, old)
	if len(args) == 4 {
		if n, ok := args[3].(types.Int); ok && n >= 0 && int64(n) < int64(times) {
			times = int(n)
		}
	}
	if len(s)+times*(len(replacement)-len(old)) > maxBytes {
		return tooLong()
	}
	return nil
}

func joinGuard(args []ref.Val) error {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return nil // the function says so itself
	}
	total := count(list) * len(textArg(args, 1))
	for it := list.Iterator(); total <= maxBytes && it.HasNext() == types.True; {
		total += length(it.Next())
	}
	if total > maxBytes {
		return tooLong()
	}
	return nil
}

// formatGuard counts each argument once, as format takes one for each verb.
func formatGuard(args []ref.Val) error {
	left := maxBytes - length(args[0])
	if len(args) > 1 {
		left = printable(args[1], left)
	}
	if left < 0 {
		return tooLong()
	}
	return nil
}

// scalarText is about how long a number, a time or a word is as text.
const scalarText = 24

// printable returns what is left of a length after a value was printed; it ends
// where nothing is.
func printable(v ref.Val, left int) int {
	switch v := v.(type) {
	case types.String, types.Bytes, *object, *list:
		return left - 2*length(v)
	case traits.Mapper:
		for it := v.Iterator(); left >= 0 && it.HasNext() == types.True; {
			key := it.Next()
			left = printable(v.Get(key), printable(key, left))
		}
		return left
	case traits.Lister:
		for it := v.Iterator(); left >= 0 && it.HasNext() == types.True; {
			left = printable(it.Next(), left)
		}
		return left
	}
	return left - scalarText
}

func splitGuard(args []ref.Val) error {
	s, separator := textArg(args, 0), textArg(args, 1)
	parts := utf8.RuneCountInString(s)
	if separator != "" {
		parts = strings.Count(s, separator) + 1
	}
	if len(args) == 3 {
		if most, ok := args[2].(types.Int); ok && most >= 0 {
			parts = int(min(int64(parts), int64(most)))
		}
	}
	return elements(parts)
}

func elements(n int) error {
	if n > maxElements {
		return fmt.Errorf("would make a list of more than %d elements", maxElements)
	}
	return nil
}

func flattenGuard(args []ref.Val) error {
	depth := 1
	if len(args) > 1 {
		n, _ := args[1].(types.Int)
		depth = int(min(n, maxRecursion))
	}
	return elements(flattened(args[0], depth, maxElements))
}

// flattened counts the elements of a list whose lists are taken apart, until
// there are more than most.
func flattened(v ref.Val, depth, most int) int {
	list, ok := v.(traits.Lister)
	if !ok || depth < 0 {
		return 1
	}
	n := 0
	for it := list.Iterator(); n <= most && it.HasNext() == types.True; {
		n += flattened(it.Next(), depth-1, most-n)
	}
	return n
}

func pairsGuard(args []ref.Val) error {
	if n := count(args[0]) * count(args[len(args)-1]); n > maxComparisons {
		return fmt.Errorf("would compare %d pairs of elements, the limit is %d: do it in a handler", n, maxComparisons)
	}
	return nil
}

func searchGuard(args []ref.Val) error {
	if len(textArg(args, 0))*len(textArg(args, 1)) > maxSearch {
		return fmt.Errorf("would search for a text of %d bytes in one of %d: do it in a handler", len(textArg(args, 1)), len(textArg(args, 0)))
	}
	return nil
}
