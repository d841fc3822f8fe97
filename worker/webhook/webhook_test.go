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
		if err := s.Send(t.Context(), MessageOf(event())); err != nil || verified != nil {
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
		err := s.Send(t.Context(), MessageOf(event()))
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
		err = s.Send(t.Context(), MessageOf(event()))
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
