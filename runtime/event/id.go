package event

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// crockfordDigits is the alphabet of ULIDs: no I, L, O, U.
const crockfordDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// crockfordValues has the value of each digit, and 1 more; 0 for what is none.
var crockfordValues = func() (values [256]byte) {
	for i, digit := range []byte(crockfordDigits) {
		values[digit] = byte(i) + 1
	}
	return values
}()

var crockford = base32.NewEncoding(crockfordDigits).WithPadding(base32.NoPadding)

// DerivedID returns an id in the form of a ULID (26 characters that sort by
// time) made of a time and of what it stands for: the same parts give the
// same id, wherever and however often it is made.
func DerivedID(at time.Time, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// Lengths keep ("a","bc") and ("ab","c") apart.
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	// 130 bits are coded in 26 characters; a ULID has 128, the first two are 0.
	var b [17]byte
	ms := uint64(at.UnixMilli()) & (1<<48 - 1)
	var id [16]byte
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	copy(id[6:], h.Sum(nil)[:10])
	// Shift right by 2 bits, so that the groups of 5 end where the id does.
	for i := range 16 {
		b[i] |= id[i] >> 2
		b[i+1] |= id[i] << 6
	}
	return crockford.EncodeToString(b[:])[:26]
}

// IDTime returns the time in an id that DerivedID made, and whether id has
// that form.
func IDTime(id string) (time.Time, bool) {
	if len(id) != 26 {
		return time.Time{}, false
	}
	b, err := crockford.DecodeString(strings.ToUpper(id[:10]) + "000000")
	if err != nil || id[0] > '7' {
		return time.Time{}, false
	}
	// The first 10 characters are 50 bits, of which the first two are 0.
	var ms uint64
	for _, c := range b[:7] {
		ms = ms<<8 | uint64(c)
	}
	return time.UnixMilli(int64(ms >> 6 & (1<<48 - 1))).UTC(), true
}

// EntryID returns the id of an event that was published without one, from its
// place: the stream's type and the entry id (ms-sequence).
func EntryID(eventType, entry string) string {
	return DerivedID(EntryTime(entry), eventType, entry)
}

// EntryTime returns the time in the id of a stream entry, in the clock of the
// Redis server and in UTC; the zero time if it has another form.
func EntryTime(entry string) time.Time {
	ms, _, _ := strings.Cut(entry, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// IDBytes returns the 128 bits of an id that DerivedID made, and whether id has
// that form.
func IDBytes(id string) (b [16]byte, ok bool) {
	if len(id) != 26 || id[0] > '7' {
		return b, false
	}
	// 26 characters are 130 bits, of which the first two are 0.
	bits, n, have := uint32(0), 0, -2
	for i := range len(id) {
		digit := crockfordValues[id[i]]
		if digit == 0 {
			return b, false
		}
		bits, have = bits<<5|uint32(digit-1), have+5
		if have >= 8 {
			have -= 8
			b[n] = byte(bits >> have)
			n++
		}
	}
	return b, true
}
