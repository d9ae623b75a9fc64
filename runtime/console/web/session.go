package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"time"
)

// A session is a cookie with its end and a seal over it, made with the token:
// nothing is stored, every replica knows it, and a token that is taken out of
// the file ends the sessions that began with it.
const (
	sessionCookie = "wildout-session"
	sessionLength = 12 * time.Hour
)

// seal is the value of the cookie.
func seal(token string, end time.Time) string {
	key := sha256.Sum256([]byte("wildout console session\x00" + token))
	b := binary.BigEndian.AppendUint64(nil, uint64(end.Unix())) // after 1970
	mac := hmac.New(sha256.New, key[:])
	mac.Write(b)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(b))
}

// sessionEnd reads the cookie of a session; false: there is none that goes on.
func sessionEnd(r *http.Request) (value string, end time.Time, ok bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", end, false
	}
	b, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(b) != 8+sha256.Size {
		return "", end, false
	}
	end = time.Unix(int64(binary.BigEndian.Uint64(b)), 0) // a wrong one does not fit the seal
	return cookie.Value, end, time.Now().Before(end)
}

// session reports whether the request has the cookie of a session that goes on.
func (a *Access) session(r *http.Request) (bool, error) {
	value, end, ok := sessionEnd(r)
	if !ok {
		return false, nil
	}
	tokens, err := a.tokens()
	if err != nil {
		return false, err
	}
	good := false
	for _, t := range tokens {
		good = hmac.Equal([]byte(seal(t, end)), []byte(value)) || good
	}
	return good, nil
}

func loginAddress(r *http.Request) string {
	if r.URL.Path == "/" {
		return "/login"
	}
	return "/login?back=" + url.QueryEscape(r.URL.RequestURI())
}

// loginBody is the form.
type loginBody struct{ Back, Error string }

func (s *Site) loginForm(w http.ResponseWriter, r *http.Request) {
	s.askToken(w, r, http.StatusOK, loginBody{Back: ownPath(r.FormValue("back"))})
}

func (s *Site) askToken(w http.ResponseWriter, r *http.Request, status int, body loginBody) {
	if s.opts.Access.TokenFile == "" {
		s.refuse(w, r, http.StatusNotFound, "There is no login here: a proxy says who you are.")
		return
	}
	if err := s.write(&request{r, w, nil}, status, "login", &view{Title: "Log in", Body: body}); err != nil {
		s.log.Error("login not shown", "error", err)
		http.Error(w, "the login cannot be shown", http.StatusInternalServerError)
	}
}

func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	body := loginBody{Back: ownPath(r.PostFormValue("back"))}
	token := r.PostFormValue("token")
	good := false
	if s.opts.Access.TokenFile != "" {
		var err error
		if good, err = s.opts.Access.accept(token); err != nil {
			s.log.Error("nobody can log in", "error", err)
			body.Error = "Nobody can log in now: the file with the tokens cannot be used. The log of the console says why."
			s.askToken(w, r, http.StatusServiceUnavailable, body)
			return
		}
	}
	if !good {
		s.log.Warn("audit", "action", "login", "who", r.RemoteAddr, "ok", false)
		body.Error = "That is not a token of this console."
		s.askToken(w, r, http.StatusUnauthorized, body)
		return
	}
	s.log.Info("audit", "action", "login", "who", r.RemoteAddr, "ok", true)
	end := time.Now().Add(sessionLength)
	http.SetCookie(w, s.cookie(r, seal(token, end), int(sessionLength.Seconds())))
	http.Redirect(w, r, body.Back, http.StatusSeeOther)
}

func (s *Site) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, s.cookie(r, "", -1))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// cookie is the session's. It goes over TLS only, unless the browser asked
// without: then there is no proxy with TLS in front either.
func (s *Site) cookie(r *http.Request, value string, age int) *http.Cookie {
	secure := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	return &http.Cookie{Name: sessionCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode}
}
