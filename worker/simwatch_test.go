package worker

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestAWrongKeyIsFoundBeforeAnybodyIsInvited: a rollout with a wrong key beside workers
// with the right one. The new worker is not ready, and says so once; the old ones go on.
func TestAWrongKeyIsFoundBeforeAnybodyIsInvited(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	good, stop := s.start()
	isReady := func(w *Worker, want bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			code, body := ready(&simWorker{Worker: w})
			if (code == http.StatusOK) == want && (want || strings.Contains(body, `"clerk_key"`)) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("/readyz answers %d %s", code, body)
			}
		}
	}
	isReady(good, true)
	key, err := clerk.ParseSecretKey("sk_test_of_another_instance")
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: s.sim.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wrong.Close)
	var log bytes.Buffer
	bad, stopBad := s.start(func(c *Config) { c.Clerk, c.Log = wrong, zerolog.New(zerolog.SyncWriter(&log)) })
	isReady(bad, false)
	ids := s.admit(people(0, 20)...)
	s.await(20*time.Second, ids...)
	isReady(good, true)
	o, err := s.ledger.Overview(t.Context(), ledger.Now)
	if err != nil || o.Closed.Closed() {
		t.Errorf("the gate over everything is closed for those with the right key: %+v, %v", o.Closed, err)
	}
	stopBad()
	if n := strings.Count(log.String(), "not ready"); n != 1 {
		t.Errorf("the log says %d times that it is not ready, want once:\n%s", n, log.String())
	}
	stop()
	// Alone, it closes the gate, so that producers and pages hear of it.
	lone := newStage(t, clerksim.Config{})
	lone.sim.Outage(time.Hour, clerksim.Fault{Kind: clerksim.Unauthorized})
	w, _ := lone.start()
	isReady(w, false)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if o, err = lone.ledger.Overview(t.Context(), ledger.Now); err == nil && o.Closed.Why == tasks.CauseUnauthorized {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gate is open: %+v, %v", o.Closed, err)
		}
	}
}

// TestABlackHole: what never answers. A worker that has not reached Clerk since it was
// started is not ready; one that has stays so, and says that Clerk does not answer. It
// is not sent away for an outage that its successor would meet, too.
func TestABlackHole(t *testing.T) {
	hole := clerksim.Fault{Kind: clerksim.DropBefore, Delay: time.Minute} // longer than any call waits
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.greets, w.tempo.watch, w.tempo.beat = true, 15*time.Second, time.Second
		w.sim.Outage(5*time.Minute, hole)
		s := w.mustStart()
		for _, after := range []time.Duration{0, time.Second, 20 * time.Second, time.Minute} {
			time.Sleep(after)
			if code, body := ready(s); code != http.StatusServiceUnavailable || !strings.Contains(body, string(tasks.ProblemClerkUnreached)) {
				t.Errorf("Clerk has not been reached, and /readyz answers %d %s", code, body)
			}
		}
		time.Sleep(8 * time.Minute) // The breaker tries every two minutes in the end.
		if code, body := ready(s); code != http.StatusOK {
			t.Fatalf("Clerk has been reached, and /readyz answers %d %s", code, body)
		}
		ids := w.give(people(0, 60)...)
		w.sim.Outage(30*time.Second, hole)
		said := false
		for range 45 {
			time.Sleep(time.Second)
			code, body := ready(s)
			said = said || strings.Contains(body, "does not answer")
			if code != http.StatusOK {
				t.Fatalf("a black hole of 30 s, and /readyz answers %d %s", code, body)
			}
		}
		if !said {
			t.Error("/readyz has not said that Clerk does not answer")
		}
		for _, r := range w.settle(2*time.Hour, ids...) {
			if n := w.sim.Mails(r.Invite.EmailAddress.Raw()); r.State != tasks.Pending || n != 1 {
				t.Errorf("%s is %s (%s) after %d mails", r.Invite.ID, r.State, r.Reason, n)
			}
		}
	})
}
