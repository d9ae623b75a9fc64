package cloudevents

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// headers returns the attributes in the headers of the binary mode. The SDK
// reads them as they are, without the decoding that the binding asks for.
func (f *faults) headers(header http.Header) attributes {
	found := make(attributes, len(header))
	for name, values := range header {
		attribute, ours := strings.CutPrefix(name, "Ce-") // net/http has them in this form
		if !ours {
			continue
		}
		attribute = strings.ToLower(attribute)
		switch {
		case attribute == "datacontenttype":
			f.add(attribute, "is in the header ce-datacontenttype: it belongs to Content-Type")
			continue
		case len(values) > 1:
			f.add(attribute, "is there more than once")
			continue
		}
		text, ok := decodeHeader(values[0])
		if !ok {
			f.add(attribute, "is not UTF-8 when it is decoded")
			continue
		}
		found[attribute] = text
	}
	return found
}

// decodeHeader undoes the encoding of a value (HTTP Protocol Binding, section
// 3.1.3.2): quotes around it first, then one round of percent-decoding. Bytes
// above ASCII are taken as they are and so is a % that begins no code: clients
// that do not encode send both.
func decodeHeader(value string) (text string, ok bool) {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = unquote(value[1 : len(value)-1])
	}
	if strings.Contains(value, "%") {
		value = percentDecode(value)
	}
	return value, utf8.ValidString(value)
}

// unquote drops the backslash of each quoted pair.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func percentDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// hexDigit returns the value of a digit, or -1.
func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }
