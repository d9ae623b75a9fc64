package tokenreview

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxTokenBytes is several times what a ServiceAccount's token takes.
	maxTokenBytes = 8 << 10
	// userPrefix begins the user names of ServiceAccounts.
	userPrefix = "system:serviceaccount:"
)

// Account names a ServiceAccount.
type Account struct{ Namespace, Name string }

// String returns namespace/name.
func (a Account) String() string { return a.Namespace + "/" + a.Name }

// claims are what a token says of itself. Nothing vouches for them until the
// API server has accepted the token.
type claims struct {
	account   Account
	audiences []string
	expires   time.Time
}

// parseToken reads the claims of a ServiceAccount's token, a JWT (RFC 7519).
func parseToken(token string) (claims, error) {
	if len(token) > maxTokenBytes {
		return claims{}, fmt.Errorf("it has more than %d bytes", maxTokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] == "" {
		return claims{}, errors.New("it is no JWT: want three parts with dots between them")
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return claims{}, fmt.Errorf("it is no JWT: its header %w", err)
	}
	var payload struct {
		Subject  string   `json:"sub"`
		Audience textList `json:"aud"`
		Expires  float64  `json:"exp"` // seconds since 1970, with a fraction if they like
	}
	if err := decodePart(parts[1], &payload); err != nil {
		return claims{}, fmt.Errorf("it is no JWT: its payload %w", err)
	}
	account, ok := parseUser(payload.Subject)
	if !ok {
		return claims{}, errors.New("it is not that of a ServiceAccount")
	}
	// No real token lives to the year 9999, and time.Unix takes no more.
	const farAway = 253402300799
	return claims{account, payload.Audience, time.Unix(int64(min(max(payload.Expires, 0), farAway)), 0)}, nil
}

// decodePart decodes a part of a JWT that is base64url of a JSON object.
func decodePart(part string, into any) error {
	content, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return errors.New("is not base64url")
	}
	if json.Unmarshal(content, into) != nil { // its error may quote the token
		return errors.New("is not the JSON of one")
	}
	return nil
}

// check says why a token with these claims cannot be good for the audience.
func (c claims) check(audience string, now time.Time) error {
	switch {
	case !slices.Contains(c.audiences, audience):
		return fmt.Errorf("it was made for the audience %q and not for %q", c.audiences, audience)
	case !now.Before(c.expires):
		return fmt.Errorf("it expired at %s", c.expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// parseUser splits system:serviceaccount:namespace:name.
func parseUser(user string) (Account, bool) {
	rest, ok := strings.CutPrefix(user, userPrefix)
	namespace, name, both := strings.Cut(rest, ":")
	return Account{namespace, name}, ok && both && namespace != "" && name != "" && !strings.Contains(name, ":")
}

// textList is a JSON string or a list of them: RFC 7519 allows both.
type textList []string

// UnmarshalJSON reads either form.
func (l *textList) UnmarshalJSON(content []byte) error {
	var one string
	if err := json.Unmarshal(content, &one); err == nil {
		*l = textList{one}
		return nil
	}
	return json.Unmarshal(content, (*[]string)(l))
}
