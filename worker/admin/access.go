package admin

import (
	"context"
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

// Access says who may see the pages, and act. See the package's documentation.
type Access struct {
	Token  string // Of an admin. Defaults to none. At least MinTokenLen bytes.
	Public bool   // The listener can be reached from other machines: see IsPublic.

	// Store has the tokens of `inviteq api token`: those of scope instance open the
	// pages, too. Defaults to none.
	Store *access.Store

	// Acts lets who needs no token act, as an operator does. Otherwise that takes a token.
	Acts bool

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

// guard lets through who may see the pages, and notes who it is. Whoever tries many
// wrong tokens is told to wait. A person in a browser is asked for a token by a page.
func (a Access) guard(signedIn sessions, next http.Handler) http.Handler {
	guesses, callers, noted := &access.Guesses{}, access.NewCallers(a.Store), &signIns{store: a.Store}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer, remote, to, signsIn := bearerOf(r), remoteOf(r), "/", false
		if r.Method == http.MethodGet {
			to = r.URL.RequestURI()
		}
		switch {
		case r.URL.Path == signOutPath && r.Method == http.MethodPost:
			if token := signedIn.token(r, time.Now()); token != "" {
				if who, _, err := a.find(r, callers, guesses, token, remote); err == nil {
					noted.note(r, who, "sign out", "")
				}
			}
			signedIn.set(w, r, "")
			http.Redirect(w, r, signInPath, http.StatusSeeOther)
			return
		case r.URL.Path == signInPath && r.Method == http.MethodPost:
			r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
			bearer, to, signsIn = strings.TrimSpace(r.PostFormValue("token")), r.PostFormValue("to"), true
		case r.URL.Path == signInPath:
			askForToken(w, http.StatusOK, to, "")
			return
		case bearer == "":
			bearer = signedIn.token(r, time.Now())
		}
		who, wait, err := a.find(r, callers, guesses, bearer, remote)
		if signsIn && err == nil && a.Token == "" && who.ID == "" {
			err = access.ErrToken // This machine is let in without one, which is no sign-in.
		}
		if signsIn && err != nil {
			noted.refuse(r, time.Now())
		}
		asks := signsIn || wantsPage(r)
		switch {
		case err == nil && signsIn:
			noted.note(r, who, "sign in", "")
			signedIn.set(w, r, signedIn.seal(bearer, time.Now()))
			http.Redirect(w, r, ownPath(to), http.StatusSeeOther) //nolint:gosec // ownPath lets nothing else through
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
		case wait > 0:
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			tooMany := "Too many wrong tokens have come from this address."
			if asks {
				askForToken(w, http.StatusTooManyRequests, to, tooMany+" Wait a minute; the right one works.")
				return
			}
			http.Error(w, tooMany, http.StatusTooManyRequests)
		case errors.Is(err, access.ErrToken):
			if bearer != "" && a.WrongToken != nil {
				a.WrongToken(remote)
			}
			if asks { // With Basic a browser would ask by itself.
				message := ""
				if bearer != "" || signsIn {
					message = "This token is wrong, or was revoked."
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="inviteq"`)
				askForToken(w, http.StatusUnauthorized, to, message)
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="inviteq: any user, the admin token as password", charset="UTF-8"`)
			http.Error(w, "The admin token is needed, or one of scope instance: as a bearer token, or as the password of any user.", http.StatusUnauthorized)
		case signsIn:
			askForToken(w, http.StatusForbidden, to, err.Error())
		default:
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
}

const maxSignIn = 8 << 10

// find returns who sends a request. The error is access.ErrToken if a token is missing
// or wrong; any other one says to a person why the pages are not shown.
func (a Access) find(r *http.Request, callers *access.Callers, guesses *access.Guesses, bearer, remote string) (who access.Token, wait time.Duration, err error) {
	now := time.Now()
	switch {
	case bearer != "" && a.Token != "" && a.equals(bearer):
		return access.Token{Name: "admin", Role: access.Admin, Scope: access.Instance}, 0, nil
	case bearer != "" && a.Store != nil && (a.Token != "" || looksLikeToken(bearer)):
		if who, wait, err = callers.Find(r.Context(), bearer, remote, now); err == nil {
			who, err = a.Store.Authenticate(r.Context(), bearer) // It may have been revoked.
		}
		if err == nil && who.Scope != access.Instance {
			err = errors.New("This token is of scope own, and the pages show the whole instance: use the HTTP API with it.") //nolint:revive // a sentence for a person
		}
		return who, wait, err
	case a.Token != "":
		if bearer != "" {
			wait = guesses.Wrong(remote, now)
		}
		return who, wait, access.ErrToken
	}
	return a.local(r)
}

// local is who comes without a token, from this machine.
func (a Access) local(r *http.Request) (who access.Token, wait time.Duration, _ error) {
	why := ""
	switch {
	case a.Locked():
		why = "This listener can be reached from other machines, so its pages are locked. " +
			"Set INVITEQ_ADMIN_TOKEN or INVITEQ_ADMIN_TOKEN_FILE for the worker, or let --admin-addr name a loopback address."
	case forwarded(r):
		why = "The request came through a proxy, which anybody may stand behind, so it needs an admin token. " +
			"Set INVITEQ_ADMIN_TOKEN or INVITEQ_ADMIN_TOKEN_FILE for the worker."
	case !loopbackName(r.Host):
		why = "Without an admin token the pages are only shown as localhost or 127.0.0.1."
	}
	if why != "" {
		return who, 0, errors.New(why)
	}
	who = access.Token{Name: "local", Scope: access.Instance}
	if a.Acts {
		who.Role = access.Operator
	}
	return who, 0, nil
}

type callerKey struct{}

// caller is who has sent the request: the guard has let them in.
func caller(r *http.Request) access.Token {
	who, _ := r.Context().Value(callerKey{}).(access.Token)
	return who
}

// looksLikeToken reports whether a text may be one of `inviteq api token`.
func looksLikeToken(bearer string) bool { return strings.HasPrefix(bearer, "sk_test_inq") }

// bearerOf is the token that a request shows: as a bearer token, or as the password of
// any user.
func bearerOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

func remoteOf(r *http.Request) string {
	remote, _, _ := net.SplitHostPort(r.RemoteAddr)
	return remote
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
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
