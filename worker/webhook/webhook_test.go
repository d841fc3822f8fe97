package webhook

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/inviteq/inviteq/tasks"
)

const (
	newSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456="
	oldSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD0123456="
)

func event() tasks.Event {
	return tasks.Event{ID: "inq_1:2", InviteID: "inq_1", Version: 2, From: "sending", To: "pending", InvitationID: "inv_1", At: time.Now()}
}

func TestAReceiverCanVerifyWithEitherSecret(t *testing.T) {
	for _, secret := range []string{newSecret, oldSecret} {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		var verified error
		var body string
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			body, verified = string(b), verifier.Verify(b, r.Header)
		}))
		defer receiver.Close()
		s, err := New(Config{URL: receiver.URL, Secrets: []string{newSecret, oldSecret}, AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), MessageOf(event())); err != nil || verified != nil {
			t.Errorf("got %v; the receiver says %v", err, verified)
		}
		if !strings.Contains(body, `"type":"invite.pending"`) || !strings.Contains(body, `"invitation_id":"inv_1"`) {
			t.Errorf("got body %s", body)
		}
	}
}

func TestAnswers(t *testing.T) {
	status := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer receiver.Close()
	s, err := New(Config{URL: receiver.URL, Secrets: []string{newSecret}, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, status = range []int{200, 204, 299, 301, 302, 307, 400, 404, 410, 429, 500, 503} {
		_, err := s.Send(t.Context(), MessageOf(event()))
		if (err == nil) != (status < 300) || errors.Is(err, ErrGone) != (status == 410) {
			t.Errorf("%d: got %v", status, err)
		}
	}
}

func TestPrivateAddressesAreRefusedAfterTheNameIsResolved(t *testing.T) {
	reached := false
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer receiver.Close()
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		url := strings.Replace(receiver.URL, "127.0.0.1", host, 1) + "/canary-path"
		s, err := New(Config{URL: url, Secrets: []string{newSecret}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Send(t.Context(), MessageOf(event()))
		if err == nil || reached {
			t.Errorf("%s: got %v, reached %t", host, err, reached)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "private")) {
			t.Errorf("%s: got error %q", host, err)
		}
	}
}

func TestConfigComplainsAtOnceAndQuotesNothing(t *testing.T) {
	_, err := New(Config{URL: "ftp://canary.example", Secrets: []string{"whsec_canary", "%%%canary"}})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	if _, err := New(Config{URL: "http://example.com/hook", Secrets: []string{newSecret}}); err == nil {
		t.Error("plain http was accepted")
	}
}

// TestPublicAddresses: nothing but the internet, also not through a gateway to what
// lies in IPv4.
func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1:248:1893:25c8:1946]:8443": true, "[::ffff:93.184.216.34]:443": true,
		"10.0.0.1:443": false, "100.64.0.1:443": false, "127.0.0.1:443": false, "169.254.169.254:80": false, "0.0.0.0:443": false,
		"192.0.0.1:443": false, "198.18.0.1:443": false, "203.0.113.7:443": false, "240.0.0.1:443": false, "255.255.255.255:443": false, "224.0.0.1:443": false,
		"[::1]:443": false, "[::]:443": false, "[fe80::1%eth0]:443": false, "[fd00::1]:443": false, "[ff02::1]:443": false,
		"[::ffff:10.0.0.1]:443": false, "[::ffff:169.254.169.254]:80": false, // IPv4-mapped
		"[::a9fe:a9fe]:80":        false,                                  // IPv4-compatible
		"[64:ff9b::a9fe:a9fe]:80": false, "[64:ff9b:1::a00:1]:443": false, // NAT64
		"[2002:a00:1::]:443": false, "[2001::a00:1]:443": false, // 6to4, Teredo
		"[2001:db8::1]:443": false, "[3fff::1]:443": false, "[100::1]:443": false, "[5f00::1]:443": false, "not an address": false,
	} {
		network := "tcp4"
		if strings.HasPrefix(address, "[") {
			network = "tcp6"
		}
		if err := publicOnly(network, address, nil); (err == nil) != want {
			t.Errorf("%s: got %v", address, err)
		} else if err != nil && strings.ContainsAny(err.Error(), "0123456789") {
			t.Errorf("%s: the error names it: %v", address, err)
		}
	}
}
