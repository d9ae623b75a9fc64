package web

import (
	"encoding/json"
	"html/template"
	"strings"

	"github.com/wildout/wildout/runtime/strictjson"
)

// maxShown bounds how much of a JSON document is shown, in bytes.
const maxShown = 64 << 10

// highlight writes JSON indented, with its parts marked. What is no JSON is
// shown as it is.
func highlight(raw json.RawMessage) template.HTML {
	text, err := strictjson.Show(raw, "  ")
	if err != nil {
		return template.HTML(template.HTMLEscapeString(clip(string(raw), maxShown))) // escaped here
	}
	if len(text) > maxShown {
		return template.HTML(template.HTMLEscapeString(clip(string(text), maxShown))) // escaped here
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		n, class := token(text[i:])
		part := template.HTMLEscapeString(string(text[i : i+n]))
		if class == "" {
			out.WriteString(part)
		} else {
			out.WriteString(`<span class="` + class + `">` + part + `</span>`)
		}
		i += n
	}
	return template.HTML(out.String()) // every part is escaped above
}

// token returns the length of the JSON token at the beginning of text, and the
// class of its span: k for a key, s, n, w for a string, a number, a word.
func token(text []byte) (n int, class string) {
	c := text[0]
	switch {
	case c == '"':
		n = 1
		for text[n] != '"' {
			if text[n] == '\\' {
				n++
			}
			n++
		}
		n++
		if n < len(text) && text[n] == ':' {
			return n, "k"
		}
		return n, "s"
	case c == '-' || c >= '0' && c <= '9':
		for n < len(text) && strings.IndexByte("+-.eE0123456789", text[n]) >= 0 {
			n++
		}
		return n, "n"
	case c == 't' || c == 'f' || c == 'n':
		for n < len(text) && text[n] >= 'a' && text[n] <= 'z' {
			n++
		}
		return n, "w"
	}
	return 1, ""
}
