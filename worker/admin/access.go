package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks/access"
)

// Access says who may see the pages. See the package's documentation.
type Access struct {
	Token  string // Defaults to none. At least MinTokenLen bytes.
	Public bool   // The listener can be reached from other machines: see IsPublic.

	// WrongToken is told the IP address of each wrong token, apart from those that
	// were told to wait. Defaults to nothing.
	WrongToken func(remote string)
}

// MinTokenLen is how long a token is at least, so that guessing is hopeless.
const MinTokenLen = 16

// Check says what is wrong, and never quotes the token.
func (a Access) Check() error {
	if a.Token != "" && len(a.Token) < MinTokenLen {
		return errors.New("the admin token must have 16 bytes or more, such as `openssl rand -hex 16` prints")
	}
	return nil
}

// Locked reports whether there is nothing to see but the probes.
func (a Access) Locked() bool { return a.Public && a.Token == "" }

// IsPublic reports whether a listener's address can be reached from other machines.
func IsPublic(addr net.Addr) bool {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return !tcp.IP.IsLoopback()
	}
	return true
}

// guard lets through who may see the pages. Whoever tries many wrong tokens is told
// to wait.
func (a Access) guard(next http.Handler) http.Handler {
	guesses := &access.Guesses{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.Token != "" && !a.shown(r):
			if r.Header.Get("Authorization") != "" {
				remote, _, _ := net.SplitHostPort(r.RemoteAddr)
				if wait := guesses.Wrong(remote, time.Now()); wait > 0 {
					w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
					http.Error(w, "Too many wrong tokens have come from this address.", http.StatusTooManyRequests)
					return
				}
				if a.WrongToken != nil {
					a.WrongToken(remote)
				}
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="inviteq: any user, the admin token as password", charset="UTF-8"`)
			http.Error(w, "The admin token is needed: as a bearer token, or as the password of any user.", http.StatusUnauthorized)
		case a.Locked():
			http.Error(w, "This listener can be reached from other machines, so its pages are locked. "+
				"Set INVITEQ_ADMIN_TOKEN or INVITEQ_ADMIN_TOKEN_FILE for the worker, or let --admin-addr name a loopback address.", http.StatusForbidden)
		case a.Token == "" && forwarded(r):
			http.Error(w, "The request came through a proxy, which anybody may stand behind, so it needs an admin token. "+
				"Set INVITEQ_ADMIN_TOKEN or INVITEQ_ADMIN_TOKEN_FILE for the worker.", http.StatusForbidden)
		case a.Token == "" && !loopbackName(r.Host):
			http.Error(w, "Without an admin token the pages are only shown as localhost or 127.0.0.1.", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// shown reports whether the request carries the token.
func (a Access) shown(r *http.Request) bool {
	if _, password, ok := r.BasicAuth(); ok {
		return a.equals(password)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && a.equals(strings.TrimSpace(token))
}

// equals takes the same time however much of the token is right.
func (a Access) equals(s string) bool {
	want, got := sha256.Sum256([]byte(a.Token)), sha256.Sum256([]byte(s))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// forwarded reports whether a proxy says that it speaks for somebody else: then it
// means nothing that it stands on this machine.
func forwarded(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// loopbackName reports whether the Host header can only mean this machine. Any
// other name may be one that an attacker's DNS has just pointed here.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// secureHeaders sets what every answer carries. A page that needs a looser policy
// replaces it.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// pagePolicy is that of our own pages: nothing inline, nothing from elsewhere.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
