package run

import "unicode/utf8"

// Cut bounds a text, in bytes; it does not part a character.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "… (cut)"
}
