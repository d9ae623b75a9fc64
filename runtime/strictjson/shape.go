package strictjson

import "fmt"

// Look counts what the limits bound: the part of Check for a text that is then
// read piece by piece. It is the first look, before anything that takes memory
// in proportion to what is in the text, and takes what is no JSON for what it
// looks like.
func (l Limits) Look(text []byte) error {
	depth, values := 0, 0
	var members []int // by depth; the commas, which are one less
	if l.Members > 0 {
		members = make([]int, l.Depth+1)
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			i = stringEnd(text, i)
		case '{', '[':
			depth++
			values++
			if l.Depth > 0 && depth > l.Depth {
				return &Error{Kind: Limit, Offset: i, Reason: fmt.Sprintf("it is nested deeper than %d levels", l.Depth)}
			}
			if members != nil {
				members[depth] = 0
			}
		case '}', ']':
			if depth--; depth < 0 {
				return nil // it is broken
			}
		case ',':
			values++
			if members == nil {
				continue
			}
			if members[depth]++; members[depth] >= l.Members {
				return &Error{Kind: Limit, Offset: i, Reason: fmt.Sprintf("an object or a list has more than %d members", l.Members)}
			}
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end, err := numberEnd(text, i)
			if err != nil {
				return err
			}
			i = end - 1
		}
		if l.Values > 0 && values > l.Values {
			return &Error{Kind: Limit, Offset: i, Reason: fmt.Sprintf("it has more than %d values", l.Values)}
		}
	}
	return nil
}

// stringEnd returns the place of the quote that ends the string which begins
// at i, or the end of the text.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return i
}

// numberEnd returns where the number that begins at i ends, and whether it is
// within the bounds.
func numberEnd(text []byte, i int) (end int, err error) {
	begin := i
	exponent, inExponent := 0, false
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			if inExponent && exponent <= maxExponent {
				exponent = 10*exponent + int(c-'0')
			}
		case c == 'e' || c == 'E':
			inExponent = true
		case c != '-' && c != '+' && c != '.':
			return i, numberFault(begin, i, exponent)
		}
	}
	return i, numberFault(begin, i, exponent)
}

func numberFault(begin, end, exponent int) error {
	switch {
	case exponent > maxExponent:
		return &Error{Kind: Limit, Offset: begin, Reason: fmt.Sprintf("there is a number with an exponent beyond %d", maxExponent)}
	case end-begin > maxNumber:
		return &Error{Kind: Limit, Offset: begin, Reason: fmt.Sprintf("there is a number of more than %d characters", maxNumber)}
	}
	return nil
}
