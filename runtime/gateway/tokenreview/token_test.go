package tokenreview

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// jwt returns a token with this payload that nobody signed.
func jwt(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode([]byte(payload)) + "." + encode([]byte("signature"))
}

func TestParseToken(t *testing.T) {
	const good = `{"sub":"system:serviceaccount:shop:api","aud":["wildout-gateway"],"exp":2000000000}`
	api := Account{"shop", "api"}
	for name, test := range map[string]struct {
		token   string
		account Account
		fault   string
	}{
		"a token":          {token: jwt(good), account: api},
		"one audience":     {token: jwt(`{"sub":"system:serviceaccount:shop:api","aud":"wildout-gateway","exp":2e9}`), account: api},
		"a far expiry":     {token: jwt(`{"sub":"system:serviceaccount:shop:api","exp":1e300}`), account: api},
		"nothing":          {fault: "three parts"},
		"an event key":     {token: "wk_live_8e1f", fault: "three parts"},
		"two parts":        {token: "a.b", fault: "three parts"},
		"four parts":       {token: jwt(good) + ".a", fault: "three parts"},
		"no signature":     {token: strings.TrimSuffix(jwt(good), "c2lnbmF0dXJl"), fault: "three parts"},
		"a host name":      {token: "www.wildout.example", fault: "header is not"},
		"padded base64":    {token: "e30=.e30.a", fault: "header is not base64url"},
		"a list":           {token: jwt(`[]`), fault: "payload is not the JSON of one"},
		"no JSON":          {token: jwt(`{`), fault: "payload is not the JSON of one"},
		"an endless exp":   {token: jwt(`{"exp":1e999}`), fault: "payload is not the JSON of one"},
		"audience 7":       {token: jwt(`{"aud":7}`), fault: "payload is not the JSON of one"},
		"no subject":       {token: jwt(`{}`), fault: "not that of a ServiceAccount"},
		"a person":         {token: jwt(`{"sub":"jane"}`), fault: "not that of a ServiceAccount"},
		"no name":          {token: jwt(`{"sub":"system:serviceaccount:shop:"}`), fault: "not that of a ServiceAccount"},
		"no namespace":     {token: jwt(`{"sub":"system:serviceaccount::api"}`), fault: "not that of a ServiceAccount"},
		"one name":         {token: jwt(`{"sub":"system:serviceaccount:shop"}`), fault: "not that of a ServiceAccount"},
		"too many names":   {token: jwt(`{"sub":"system:serviceaccount:shop:api:x"}`), fault: "not that of a ServiceAccount"},
		"eight kilobytes ": {token: jwt(good) + strings.Repeat("a", maxTokenBytes), fault: "more than 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseToken(test.token)
			switch {
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("error %v, want %q", err, test.fault)
			case test.fault == "" && err != nil:
				t.Error(err)
			case c.account != test.account:
				t.Errorf("account %v, want %v", c.account, test.account)
			}
		})
	}
}

func TestCheckClaims(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for name, test := range map[string]struct {
		payload string
		fault   string
	}{
		"good":               {payload: `"aud":["wildout-gateway"],"exp":1000001`},
		"one of two":         {payload: `"aud":["other","wildout-gateway"],"exp":1000001`},
		"as one text":        {payload: `"aud":"wildout-gateway","exp":1000001.5`},
		"expires now":        {payload: `"aud":["wildout-gateway"],"exp":1000000`, fault: "it expired at 1970-01-12T13:46:40Z"},
		"expired":            {payload: `"aud":["wildout-gateway"],"exp":5`, fault: "it expired at 1970-01-01T00:00:05Z"},
		"before all time":    {payload: `"aud":["wildout-gateway"],"exp":-1e300`, fault: "it expired at 1970-01-01T00:00:00Z"},
		"never expires":      {payload: `"aud":["wildout-gateway"]`, fault: "it expired at"},
		"another audience":   {payload: `"aud":["other"],"exp":1000001`, fault: `it was made for the audience ["other"] and not for "wildout-gateway"`},
		"no audience at all": {payload: `"exp":1000001`, fault: "it was made for the audience []"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseToken(jwt(`{"sub":"system:serviceaccount:shop:api",` + test.payload + `}`))
			if err != nil {
				t.Fatal(err)
			}
			err = c.check(Audience, now)
			if test.fault == "" && err != nil || test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
				t.Errorf("error %v, want %q", err, test.fault)
			}
		})
	}
}

func FuzzParseToken(f *testing.F) {
	for _, payload := range []string{
		`{"sub":"system:serviceaccount:shop:api","aud":["wildout-gateway"],"exp":2000000000}`,
		`{"sub":"system:serviceaccount:a:b","aud":"x","exp":1e300}`, `{"sub":7}`, `[]`, `null`, ``,
	} {
		f.Add(jwt(payload))
	}
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseToken(token)
		if err != nil {
			return
		}
		if c.account.Namespace == "" || c.account.Name == "" || strings.Contains(c.account.String(), ":") {
			t.Errorf("account %q", c.account)
		}
		if c.expires.Unix() < 0 || c.expires.UTC().Year() > 9999 {
			t.Errorf("it expires at %s", c.expires)
		}
		if err := c.check(Audience, time.Unix(1, 0)); err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("the error %q has the token", err)
		}
	})
}
