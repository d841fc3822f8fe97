package clerk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"syscall"
	"time"
)

// What we are willing to read. A page of 500 invitations with the documented
// maximum of 8 KB metadata each is 4 MB.
const (
	maxBody      = 8 << 20
	maxErrorBody = 64 << 10
	maxHeader    = 64 << 10
)

// exchange is what one call saw on the wire. The SDK forgets status and headers
// when a body is not JSON, so the transport below it writes them down here.
type exchange struct {
	began      bool        // the SDK got as far as sending
	sent       bool        // a byte of the request may have left
	sentAt     time.Time   // no byte left before; zero if the request got no connection
	answeredAt time.Time   // when the answer's header was there; zero if none came
	err        error       // no answer came, or it broke off
	status     int         // 0 if no status line came
	header     http.Header // of the answer
	body       []byte      // of the answer, at most as long as we are willing to read
	cut        bool        // the body was longer than that
}

type exchangeKey struct{}

// newTransport returns the transport of one client. It speaks HTTP/1.1 only: a
// few calls an hour gain nothing from multiplexing, and with one call to a
// connection it is certain whether a request was written.
func newTransport(dial dialFunc, proxy bool, roots *x509.CertPool, timeout time.Duration) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	t := &http.Transport{
		DialContext:            counting(dial),
		Protocols:              &protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    timeout,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: maxHeader,
		// Shorter than servers and balancers wait, so that it is us who close an
		// idle connection, and no POST meets one that is just being closed.
		IdleConnTimeout: 30 * time.Second,
	}
	if proxy {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// recorder is the RoundTripper under the SDK: one try, the answer read whole and
// written into the call's exchange.
type recorder struct {
	base      *http.Transport
	userAgent string
}

// RoundTrip sends req once. On any answer it returns a response; the body is
// only handed on for a 2xx, because nobody above needs the text of an error.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok || x.began {
		closeBody(req)
		return nil, errors.New("clerk: a request outside of a call, or a second one")
	}
	x.began = true

	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	try := &tries{cancel: cancel}
	out, err := r.request(httptrace.WithClientTrace(ctx, try.trace()), req)
	if err != nil {
		x.err = err
		return nil, err
	}
	resp, err := r.base.RoundTrip(out)
	if err != nil {
		x.err, x.sent = err, try.sent()
		return nil, err
	}
	defer resp.Body.Close()
	x.sentAt, x.answeredAt = try.began(), time.Now()
	x.sent, x.status, x.header = true, resp.StatusCode, resp.Header

	limit := int64(maxErrorBody)
	success := resp.StatusCode/100 == 2
	if success {
		limit = maxBody
	}
	x.body, x.err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(x.body)) > limit {
		x.body, x.cut = x.body[:limit], true
	}
	if success {
		resp.Body = io.NopCloser(bytes.NewReader(x.body))
	} else {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// request returns what is really sent. The body is read here and its length
// declared, because the SDK leaves it open (chunked), and GetBody is taken away:
// with it net/http and redirects could send the body a second time. An
// Idempotency-Key would do the same, and Clerk knows none.
func (r *recorder) request(ctx context.Context, req *http.Request) (*http.Request, error) {
	out := req.Clone(ctx)
	out.GetBody = nil
	out.Header.Set("User-Agent", r.userAgent)
	out.Header.Del("Idempotency-Key")
	out.Header.Del("X-Idempotency-Key")
	if req.Method == http.MethodDelete { // the SDK would send the word null
		closeBody(req)
		out.Body = nil
	}
	if out.Body == nil || out.Body == http.NoBody {
		out.Header.Del("Content-Type")
		return out, nil
	}
	body, err := io.ReadAll(req.Body)
	closeBody(req)
	if err != nil {
		return nil, err
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.ContentLength = int64(len(body))
	return out, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// causeOf names what went wrong in transport, given how the call's context
// stands. The text of such an error is never passed on: net/http puts the URL
// into it, and with it the addresses of a query.
func causeOf(ctx context.Context, err error) Cause {
	if cause := causeOfContext(ctx); cause != "" {
		return cause
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return CauseTimeout
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return CauseDNS
	}
	if isTLS(err) {
		return CauseTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return CauseDial
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return CauseTimeout
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return CauseReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		strings.Contains(err.Error(), "server closed idle connection"): // net/http does not export this one
		return CauseEOF
	default:
		return CauseConn
	}
}

func causeOfContext(ctx context.Context) Cause {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return CauseTimeout
	case ctx.Err() != nil:
		return CauseCanceled
	default:
		return ""
	}
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	// The alerts that the other side sends are of a type that is not exported.
	return strings.Contains(err.Error(), "tls: ")
}
