package clerk

import (
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestReadClock(t *testing.T) {
	after := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, tc := range []struct {
		name           string
		header         http.Header
		sent, received time.Time
		low, high      time.Duration
		ok             bool
	}{
		{"the same second", http.Header{"Date": {"Wed, 25 Nov 2026 12:00:00 GMT"}}, after(300 * time.Millisecond), after(500 * time.Millisecond),
			-500 * time.Millisecond, 700 * time.Millisecond, true},
		{"an hour ahead", http.Header{"Date": {"Wed, 25 Nov 2026 13:00:00 GMT"}}, noon, after(time.Second),
			time.Hour - time.Second, time.Hour + time.Second, true},
		{"a minute behind", http.Header{"Date": {"Wed, 25 Nov 2026 11:59:00 GMT"}}, noon, noon, -time.Minute, -time.Minute + time.Second, true},
		{"no header", http.Header{}, noon, noon, 0, 0, false},
		{"nonsense", http.Header{"Date": {"today"}}, noon, noon, 0, 0, false},
		{"from a cache", http.Header{"Date": {"Wed, 25 Nov 2026 12:00:00 GMT"}, "Age": {"70"}}, noon, noon, 0, 0, false},
		{"never sent", http.Header{"Date": {"Wed, 25 Nov 2026 12:00:00 GMT"}}, time.Time{}, noon, 0, 0, false},
		{"our clock set back meanwhile", http.Header{"Date": {"Wed, 25 Nov 2026 12:00:00 GMT"}}, after(time.Minute), noon, 0, 0, false},
	} {
		r, ok := readClock(tc.header, tc.sent, tc.received)
		if ok != tc.ok || ok && (r.low != tc.low || r.high != tc.high || !r.at.Equal(tc.received)) {
			t.Errorf("%s: %+v, %v; want %v to %v, %v", tc.name, r, ok, tc.low, tc.high, tc.ok)
		}
	}
}

func TestTightest(t *testing.T) {
	second := func(from, to float64) reading {
		return reading{noon, time.Duration(from * float64(time.Second)), time.Duration(to * float64(time.Second))}
	}
	old := second(0.5, 0.6)
	old.at = noon.Add(-clockSpan - 1)
	for _, tc := range []struct {
		name           string
		seen           []reading
		offset, within time.Duration
	}{
		{"one", []reading{second(-0.5, 0.7)}, 100 * time.Millisecond, 600 * time.Millisecond},
		{"two that overlap", []reading{second(-0.5, 0.7), second(0.5, 1.5)}, 600 * time.Millisecond, 100 * time.Millisecond},
		{"an exact one", []reading{second(1, 1), second(0, 1)}, time.Second, 0},
		{"a clock was set: the newest wins", []reading{second(0, 1), second(0.9, 1.9), second(60, 61), second(60.8, 61.8)},
			60900 * time.Millisecond, 100 * time.Millisecond},
		{"one too old", []reading{old, second(0, 1)}, 500 * time.Millisecond, 500 * time.Millisecond},
	} {
		offset, within, known := tightest(tc.seen)
		if !known || offset != tc.offset || within != tc.within {
			t.Errorf("%s: %v ± %v, %v; want %v ± %v", tc.name, offset, within, known, tc.offset, tc.within)
		}
	}
	if _, _, known := tightest(nil); known {
		t.Error("known without an answer")
	}
}

// TestClockOffset reads the offset from ordinary calls, and only from Clerk's own
// answers; it keeps the newest.
func TestClockOffset(t *testing.T) {
	var ahead time.Duration
	status, body := 200, `{"id":"inv_1"}`
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		answerWith(status, "application/json", body)(w, r)
	})
	ask := func() { _, _ = c.Revoke(t.Context(), "inv_1") } // the answer's Date is what matters
	expect := func(want time.Duration) {
		t.Helper()
		offset, within, known := c.ClockOffset()
		if !known || (offset-want).Abs() > within || within > 3*time.Second {
			t.Errorf("%v ± %v, %v; want %v", offset, within, known, want)
		}
	}
	status, body = 502, "<html>"
	ask()
	if _, _, known := c.ClockOffset(); known {
		t.Error("a gateway's clock passed for Clerk's")
	}
	status, body = 200, `{"id":"inv_1"}`
	for range 3 * clockAnswers {
		ask()
	}
	expect(0)
	if len(c.clock.seen) != clockAnswers {
		t.Errorf("%d readings are kept", len(c.clock.seen))
	}
	ahead, status, body = 40*time.Minute, 404, `{"errors":[{"code":"resource_not_found"}]}`
	ask()
	expect(ahead)
}
