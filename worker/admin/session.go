package admin

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/show"
)

// sessions keep a browser signed in: its cookie is the token that was typed, sealed, with
// the moment at which it ends. Each request is judged by the token in it, as if it had
// come in a header, so a token that is revoked or changed ends its sessions at once.
//
// The key is made of the admin token, which all workers share; without one it is of this
// process, and its sessions end with it.
type sessions struct {
	aead cipher.AEAD
	name string // of the cookie; two workers on one host have different ones
}

const sessionLife = 12 * time.Hour

func newSessions(adminToken string) (s sessions, err error) {
	secret := []byte(adminToken)
	if adminToken == "" {
		secret = []byte(rand.Text())
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte("inviteq session")) // a hash takes everything
	key := mac.Sum(nil)
	named := sha256.Sum256(key)
	s.name = "inviteq_session_" + hex.EncodeToString(named[:4])
	block, err := aes.NewCipher(key)
	if err != nil {
		return s, err
	}
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	return s, err
}

// seal makes the value of a cookie.
func (s sessions) seal(token string, now time.Time) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(now.Add(sessionLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, append(plain, token...), []byte(s.name))) //nolint:gosec // the nonce is random, and Seal's own
}

// token is the one in the request's cookie; "" if there is none that is still good.
func (s sessions) token(r *http.Request, now time.Time) string {
	c, err := r.Cookie(s.name)
	if err != nil {
		return ""
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return ""
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(s.name))
	if err != nil || len(plain) < 8 || now.Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return ""
	}
	return string(plain[8:])
}

// set gives the browser a cookie that goes when it is closed; "" takes it away.
func (s sessions) set(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{ //nolint:gosec // on this machine, and behind a proxy that speaks TLS, the pages may be without it
		Name: s.name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// signIns are noted in the audit log: each that succeeds, each end, and of those that are
// refused one line a minute, which says how many: a stranger must not fill the log.
type signIns struct {
	store *access.Store // may be nil

	mu      sync.Mutex
	refused int       // since the last line
	at      time.Time // of that
}

// note does not fail: while Redis is away the pages say so, and that must be seen.
func (s *signIns) note(r *http.Request, who access.Token, what, about string) {
	if s.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	_ = s.store.Note(ctx, access.Act{Who: who.Name, TokenID: who.ID, Via: access.ViaPage, Remote: remoteOf(r), What: what, About: about})
}

func (s *signIns) refuse(r *http.Request, now time.Time) {
	s.mu.Lock()
	s.refused++
	n, due := s.refused, now.Sub(s.at) >= time.Minute
	if due {
		s.refused, s.at = 0, now
	}
	s.mu.Unlock()
	if due {
		s.note(r, access.Token{Name: "unknown"}, "sign-in refused", show.Count(n, "time"))
	}
}

// signInPage is the form for a token. It stands alone: without a token nothing else of the
// pages is shown, not even their stylesheet, so that comes inside it.
type signInPage struct {
	Style   template.CSS
	Nonce   string
	To      string // the page that was asked for
	Message string
}

var signInTemplate = template.Must(template.ParseFS(pageFiles, "pages/signin.html"))

// askForToken answers with the form.
func askForToken(w http.ResponseWriter, status int, to, message string) {
	style, _ := assets.ReadFile("assets/style.css")                                                    // embedded
	p := signInPage{Style: template.CSS(style), Nonce: rand.Text(), To: ownPath(to), Message: message} //nolint:gosec // our own stylesheet
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = signInTemplate.Execute(w, p) // the reader may have gone
}

// ownPath is a path of these pages, whatever a form says.
func ownPath(to string) string {
	if u, err := url.Parse(to); err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") ||
		strings.ContainsAny(to, "\\\r\n") || strings.HasPrefix(to, signInPath) {
		return "/"
	}
	return to
}

// wantsPage reports whether a person with a browser waits for the answer.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

const (
	signInPath  = "/sign-in"
	signOutPath = "/sign-out"
)
