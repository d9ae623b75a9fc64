package plan

// The grammar of RFC 8259, as a scanner that finds where a value ends. It is
// as strict as encoding/json.

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// skipValue returns the end of the value that begins at i.
func skipValue(b []byte, i, depth int) (end int, err error) {
	if i >= len(b) {
		return 0, syntaxError(b, i)
	}
	switch c := b[i]; {
	case c == '"':
		end, _, err = skipString(b, i)
		return end, err
	case c == '{' || c == '[':
		return skipContainer(b, i, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return skipNumber(b, i)
	case c == 't':
		return skipWord(b, i, "true")
	case c == 'f':
		return skipWord(b, i, "false")
	case c == 'n':
		return skipWord(b, i, "null")
	}
	return 0, syntaxError(b, i)
}

func skipContainer(b []byte, i, depth int) (int, error) {
	if depth > maxDepth {
		return 0, errTooDeep
	}
	return skipMembers(b, i, depth, nil)
}

// skipMembers returns the end of the object or list that begins at i, and
// calls each, when it is not nil, with the places of each key and value.
func skipMembers(b []byte, i, depth int, each func(key, value, end int)) (int, error) {
	object, closing := b[i] == '{', b[i]+2 // '{'+2 is '}', '['+2 is ']'
	if i = skipSpace(b, i+1); i < len(b) && b[i] == closing {
		return i + 1, nil
	}
	for {
		var err error
		key := i
		if object {
			if i, err = skipKey(b, i); err != nil {
				return 0, err
			}
		}
		end, err := skipValue(b, i, depth)
		if err != nil {
			return 0, err
		}
		if each != nil {
			each(key, i, end)
		}
		if i = skipSpace(b, end); i >= len(b) {
			return 0, syntaxError(b, i)
		}
		switch b[i] {
		case closing:
			return i + 1, nil
		case ',':
			i = skipSpace(b, i+1)
		default:
			return 0, syntaxError(b, i)
		}
	}
}

// skipKey returns the place of the value whose key begins at i.
func skipKey(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return 0, syntaxError(b, i)
	}
	i, _, err := skipString(b, i)
	if err != nil {
		return 0, err
	}
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return 0, syntaxError(b, i)
	}
	return skipSpace(b, i+1), nil
}

// skipString returns the end of the string that begins at i, and whether it
// is more than plain ASCII without escapes.
func skipString(b []byte, i int) (end int, special bool, err error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, special, nil
		case c < ' ':
			return 0, false, syntaxError(b, i)
		case c >= 0x80:
			special = true
		case c == '\\':
			special = true
			if i++; i >= len(b) {
				return 0, false, syntaxError(b, i)
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						return 0, false, syntaxError(b, i)
					}
				}
			default:
				return 0, false, syntaxError(b, i)
			}
		}
	}
	return 0, false, syntaxError(b, i)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func skipNumber(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if next := skipDigits(b, i); next > i {
		i = next
	} else {
		return 0, syntaxError(b, i)
	}
	if i < len(b) && b[i] == '.' {
		next := skipDigits(b, i+1)
		if next == i+1 {
			return 0, syntaxError(b, next)
		}
		i = next
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		next := skipDigits(b, i)
		if next == i {
			return 0, syntaxError(b, next)
		}
		i = next
	}
	return i, nil
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

func skipWord(b []byte, i int, word string) (int, error) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return 0, syntaxError(b, i)
	}
	return i + len(word), nil
}
