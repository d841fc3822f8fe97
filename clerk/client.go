package clerk

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
)

// The defaults of [Config].
const (
	DefaultBaseURL   = "https://api.clerk.com/v1"
	DefaultTimeout   = 10 * time.Second
	DefaultUserAgent = "inviteq/dev"
)

// Config is what [New] needs. Only SecretKey has no default.
type Config struct {
	// SecretKey is the instance's secret key. Required.
	SecretKey SecretKey
	// BaseURL is where Clerk is, with the version in its path. Plain http is
	// refused unless the host is this machine, because the key would travel
	// readably; see AllowHTTP. Defaults to DefaultBaseURL.
	BaseURL string
	// AllowHTTP permits plain http to other hosts: a simulated Clerk in a
	// neighbouring container. Defaults to false.
	AllowHTTP bool
	// Timeout is how long one call may take, from the dial to the last byte of
	// the answer. A context that ends earlier wins. Defaults to DefaultTimeout.
	Timeout time.Duration
	// UserAgent should be inviteq/<version>. It is always sent: Clerk's edge has
	// answered a default library agent with a bare 403. Defaults to DefaultUserAgent.
	UserAgent string
	// RootCAs are the authorities that are trusted. Defaults to the system's.
	RootCAs *x509.CertPool
	// DialContext replaces the dialer, and with it any proxy. Defaults to a
	// net.Dialer and the proxy of the environment (HTTPS_PROXY, NO_PROXY).
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Breaker says when to stop calling a Clerk that is down. Its zero value works.
	Breaker Breaker
	// Observe is called after every call with what became of it, for metrics. It
	// must be quick and is called from many goroutines. Defaults to none.
	Observe func(Call)
}

// Call is what became of one call, for [Config.Observe].
type Call struct {
	Op   Op
	Err  *Error // nil on success
	Took time.Duration
}

// Client makes the calls. Each method makes exactly one request, never repeats
// it, and returns an [*Error] unless it succeeds. A Client is safe for use by
// many goroutines. Close it when it is no longer needed.
type Client struct {
	http        *http.Transport
	backend     sdk.Backend
	invitations *invitation.Client
	timeout     time.Duration
	breaker     *breaker
	clock       clock
	observe     func(Call)
}

// New returns a client. Its error joins everything that is wrong with cfg, and
// quotes neither key nor URL. New sends nothing.
func New(cfg Config) (*Client, error) {
	var errs []error
	if cfg.SecretKey.IsZero() {
		errs = append(errs, errors.New("clerk: SecretKey is missing"))
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	if err := checkBaseURL(cfg.BaseURL, cfg.AllowHTTP); err != nil {
		errs = append(errs, fmt.Errorf("clerk: BaseURL %w", err))
	}
	if cfg.Timeout < 0 {
		errs = append(errs, errors.New("clerk: Timeout is negative"))
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = DefaultUserAgent
	}
	if strings.ContainsFunc(cfg.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		errs = append(errs, errors.New("clerk: UserAgent contains a character that is not visible ASCII"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	dial := cfg.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: cfg.Timeout}).DialContext
	}
	transport := newTransport(dial, cfg.DialContext == nil, cfg.RootCAs, cfg.Timeout)
	backend := sdk.NewBackend(&sdk.BackendConfig{
		HTTPClient: &http.Client{
			Transport:     &recorder{base: transport, userAgent: cfg.UserAgent},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		URL: new(cfg.BaseURL),
		Key: new(cfg.SecretKey.raw()),
	})
	return &Client{
		http:        transport,
		backend:     backend,
		invitations: &invitation.Client{Backend: backend},
		timeout:     cfg.Timeout,
		breaker:     newBreaker(cfg.Breaker, cfg.Timeout),
		observe:     cfg.Observe,
	}, nil
}

// Close closes idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// checkBaseURL says what is wrong with a base URL without quoting it: it may
// contain a password.
func checkBaseURL(s string, allowHTTP bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Opaque != "":
		return errors.New("is not an absolute http(s) URL, such as " + DefaultBaseURL)
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return errors.New("has more than scheme, host and path")
	case u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()):
		return errors.New("would send the key readably: use https, or allow http explicitly")
	case u.Hostname() == "api.clerk.com" && strings.Trim(u.Path, "/") != "v1":
		return errors.New("lacks the version: Clerk's is " + DefaultBaseURL)
	default:
		return nil
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// call makes one call, if the breaker lets it: send makes the SDK send it, and
// returns the SDK's error.
func (c *Client) call(ctx context.Context, op Op, send func(context.Context) error) error {
	began := time.Now()
	err := c.guarded(ctx, op, send)
	if c.observe != nil {
		c.observe(Call{Op: op, Err: err, Took: time.Since(began)})
	}
	if err != nil {
		return err // not nil: a typed nil must not get into the interface
	}
	return nil
}

func (c *Client) guarded(ctx context.Context, op Op, send func(context.Context) error) (e *Error) {
	if cause := causeOfContext(ctx); cause != "" {
		return &Error{Op: op, Kind: KindNotSent, Cause: cause, ctxErr: contextError(cause)}
	}
	done, refused := c.breaker.admit(op)
	if refused != nil {
		return refused
	}
	began := time.Now()
	// Also if send panics: a probe must come to an end.
	e = &Error{Op: op, Kind: unresolved(op), Cause: CauseUnread}
	defer func() { done(e, time.Since(began)) }()
	return c.once(ctx, op, send)
}

func (c *Client) once(ctx context.Context, op Op, send func(context.Context) error) *Error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	x := new(exchange)
	sdkErr := send(context.WithValue(ctx, exchangeKey{}, x))

	if r, ok := readClock(x.header, x.sentAt, x.answeredAt); ok && (x.status/100 == 2 || parseAnswer(x).clerks()) {
		c.clock.observe(r)
	}
	var cause Cause
	if x.err != nil {
		cause = causeOf(ctx, x.err)
	}
	if e := classify(op, x, cause, time.Now()); e != nil {
		return e
	}
	if sdkErr == nil {
		return nil
	}
	e := &Error{Op: op, Kind: unresolved(op), Status: x.status, TraceID: traceID(x.header, ""), Cause: CauseUnread}
	if errors.Is(sdkErr, errMismatch) {
		e.Cause = CauseMismatch
	}
	return e
}

// refuse is the error of a call that is not made because its arguments are wrong.
func refuse(op Op, param string) *Error {
	return &Error{Op: op, Kind: KindMalformed, Cause: CauseArgument, Param: param}
}
