// Package webhook posts events to one URL in the Standard Webhooks format
// (https://www.standardwebhooks.com): signed, with an id that stays the same when
// an event is sent again.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/inviteq/inviteq/tasks"
)

// Config says where events go. URL and Secrets are required.
type Config struct {
	URL          string        // https, or http where AllowPrivate is set.
	Secrets      []string      // whsec_… in base64: every one signs, so that they can be rotated. The newest first.
	AllowPrivate bool          // Permit http, and addresses of private networks and of this machine.
	Timeout      time.Duration // For one post. Defaults to 15 s.
	UserAgent    string        // Defaults to "inviteq".
}

// Sender posts events. It makes one try; the queue repeats.
type Sender struct {
	url     string
	agent   string
	signers []*standardwebhooks.Webhook
	client  *http.Client
}

// Fingerprint tells receivers apart without naming them.
func (s *Sender) Fingerprint() string {
	sum := sha256.Sum256([]byte(s.url))
	return hex.EncodeToString(sum[:8])
}

// Retries are the waits before each try, the first one included.
var Retries = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

// ErrGone says that the receiver wants no more events (410 Gone).
var ErrGone = errors.New("the receiver of webhooks answers 410 Gone: no more events are sent to it until the configuration changes")

// Message is the body of a post. It names invites by id and holds no address.
type Message struct {
	Type      string    `json:"type"` // invite.pending, invite.rejected, …, import.completed
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

// Data is the event itself.
type Data struct {
	EventID      string       `json:"event_id"`
	InviteID     string       `json:"invite_id,omitzero"`
	Sequence     int          `json:"sequence"`
	From         string       `json:"from,omitzero"`
	To           string       `json:"to,omitzero"`
	Reason       tasks.Reason `json:"reason,omitzero"`
	InvitationID string       `json:"invitation_id,omitzero"`
	ImportID     string       `json:"import_id,omitzero"`
}

// MessageOf returns the message of an event.
func MessageOf(e tasks.Event) Message {
	m := Message{Type: "invite." + e.To, Timestamp: e.At.UTC(), Data: Data{
		EventID: e.ID, InviteID: e.InviteID, Sequence: e.Version, From: e.From, To: e.To,
		Reason: e.Reason, InvitationID: e.InvitationID, ImportID: e.ImportID,
	}}
	if e.To == tasks.ImportCompleted {
		m.Type, m.Data.To = "import.completed", ""
	}
	return m
}

// New checks the configuration and complains about everything at once. It quotes
// neither secret nor URL.
func New(cfg Config) (*Sender, error) {
	var errs []error
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		errs = append(errs, errors.New("webhook URL must be an absolute https URL"))
	case u.Scheme == "http" && !cfg.AllowPrivate:
		errs = append(errs, errors.New("webhook URL must be https; plain http needs the consent to private addresses"))
	}
	s := &Sender{url: cfg.URL, agent: cfg.UserAgent}
	if s.agent == "" {
		s.agent = "inviteq"
	}
	if len(cfg.Secrets) == 0 {
		errs = append(errs, errors.New("webhook secret is missing"))
	}
	for _, secret := range cfg.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil || len(strings.TrimPrefix(secret, "whsec_")) < 32 {
			errs = append(errs, errors.New("webhook secret must be whsec_ and at least 24 random bytes in base64: make one with `openssl rand -base64 32`"))
			continue
		}
		s.signers = append(s.signers, signer)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	dialer := &net.Dialer{Timeout: cfg.Timeout}
	if !cfg.AllowPrivate {
		dialer.Control = publicOnly
	}
	s.client = &http.Client{
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// No proxy: it would dial where we have not looked.
		Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConns: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: cfg.Timeout},
	}
	return s, errors.Join(errs...)
}

// internet knows every range that is set aside for something else, also those that
// lead through a gateway into IPv4.
var internet = ssrf.New(ssrf.WithAnyPort())

// publicOnly looks at the address after the name was resolved, so that no name
// leads into the network that the worker stands in.
func publicOnly(network, address string, c syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4In6() {
		network, address = "tcp4", netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
	}
	if internet.Safe(network, address, c) != nil { // Its error names the address.
		return errors.New("webhook: the receiver has a private or reserved address, which is not permitted")
	}
	return nil
}

// Send posts one message, once. Any status but 2xx is an error; 410 is ErrGone.
func (s *Sender) Send(ctx context.Context, m Message) (Answer, error) {
	now := time.Now()
	a := Answer{Type: m.Type}
	body, err := json.Marshal(m)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return a, errors.New("webhook: the request cannot be made")
	}
	signatures := make([]string, len(s.signers))
	for i, signer := range s.signers {
		if signatures[i], err = signer.Sign(m.Data.EventID, now, body); err != nil {
			return a, fmt.Errorf("webhook: sign: %w", err)
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.Data.EventID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	resp, err := s.client.Do(req)
	a.Took = time.Since(now)
	if err != nil {
		return a, s.masked(err)
	}
	a.Status = resp.StatusCode
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	switch {
	case resp.StatusCode == http.StatusGone:
		return a, ErrGone
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return a, fmt.Errorf("webhook: the receiver answers %d", resp.StatusCode)
	}
	return a, nil
}

// masked keeps the URL out of errors: its path or query may be a secret.
func (s *Sender) masked(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return errors.New("webhook: the receiver does not answer in time")
		}
		return fmt.Errorf("webhook: the receiver cannot be reached: %w", innermost(e.Err))
	}
	return errors.New("webhook: the receiver cannot be reached")
}

// innermost drops what net puts around the reason: host names and addresses.
func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
