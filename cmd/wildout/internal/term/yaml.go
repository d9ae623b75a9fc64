package term

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// toYAML makes YAML of JSON. The library does not read all characters that JSON may
// have in a text, and writes those beyond the first 65,536, such as emoji, as
// numbers: they are on their way under another name.
func toYAML(text []byte) ([]byte, error) {
	mark := unused(text)
	if mark == 0 {
		return yaml.JSONToYAML(text)
	}
	out := make([]byte, 0, len(text)+16)
	for _, r := range string(text) {
		switch {
		case r >= 0x10000:
			out = fmt.Appendf(out, "%c%05x%c", mark, r, mark)
		case r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r >= 0xfffe:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	out, err := yaml.JSONToYAML(out)
	if err != nil {
		return nil, err
	}
	name := regexp.MustCompile(fmt.Sprintf("%c([0-9a-f]{5,6})%c", mark, mark))
	return name.ReplaceAllFunc(out, func(found []byte) []byte {
		size := utf8.RuneLen(mark)
		n, err := strconv.ParseUint(string(found[size:len(found)-size]), 16, 32)
		if err != nil {
			return found
		}
		return utf8.AppendRune(nil, rune(n))
	}), nil
}

// unused is a character for private use that is not in a text; 0: it has them all.
func unused(text []byte) rune {
	for r := rune(0xe000); r <= 0xf8ff; r++ {
		if !bytes.ContainsRune(text, r) {
			return r
		}
	}
	return 0
}
