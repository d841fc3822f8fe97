package main

import (
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestWorkersSideBySide(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	if r := w.run("workers"); r.code != exitFailed || !strings.Contains(r.stderr, "No worker is running") {
		t.Errorf("none: exit code %d, %s", r.code, r.stderr)
	}
	for name, limit := range map[string]int{"one": 100, "two": 50} {
		limits := ledger.ClerkLimits
		limits.Single.Calls = limit
		l, err := ledger.Open(t.Context(), redistest.Shared(t), ledger.Config{Instance: w.instance, Limits: limits, Reserve: ledger.AutoReserve})
		must(t, err)
		_, err = l.Announce(t.Context(), ledger.Now, ledger.Fellow{Name: name, Version: "v" + name, Since: time.Now(), Problem: map[string]string{"two": "clerk_key"}[name]})
		must(t, err)
	}
	r := w.run("workers")
	for _, want := range []string{"one", "vtwo", "50/1h", "100/1h", "clerk_key", "exact"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, r.stdout)
		}
	}
	if r.code != exitDone || !strings.Contains(r.stderr, "configured differently") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"one", "two", "three"} {
		w.ok("invite", id+"@example.com", "--id", id)
	}
	w.ok("revoke", "one")
	w.ok("revoke", "two")
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "one,two"}, {"--id one", "one"}, {"--id three", ""}, {"--state canceled", "one,two"}, {"--state pending", ""},
		{"--since 1h", "one,two"}, {"--since 2999-01-01T00:00:00Z", ""}, {"--import-id imp", ""}, {"--last 1", "two"}, {"--id one --last 1", "one"},
	} {
		r := w.run(append([]string{"events"}, strings.Fields(c.args)...)...)
		var got []string
		for line := range strings.Lines(r.stdout) {
			got = append(got, strings.Fields(line)[2])
		}
		if r.code != exitDone || strings.Join(got, ",") != c.want {
			t.Errorf("events %s: exit code %d, %v, want %s; %s", c.args, r.code, got, c.want, r.stderr)
		}
	}
	if r := w.run("events", "--since", "yesterday"); r.code != exitUsage {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
