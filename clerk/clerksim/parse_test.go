package clerksim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

func TestParseLimits(t *testing.T) {
	got, err := clerksim.ParseLimits("single=100/1h, bulk=unlimited,,")
	want := clerksim.Limits{Single: clerksim.Limit{N: 100, Window: time.Hour}, Bulk: clerksim.Unlimited}
	if err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = clerksim.ParseLimits("single=0/1h,bulk=25,triple=1/1s,other=5/0s,single=x/1h,bulk")
	for _, bad := range []string{"single=0/1h", `"bulk=25"`, "triple=1/1s", "other=5/0s", "single=x/1h", `"bulk"`} {
		if err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("no word on %s: %v", bad, err)
		}
	}
	for _, text := range []string{"100/1h", "25/1m30s", "1000/10s", "5/500ms", "7/10m", "unlimited"} {
		l, err := clerksim.ParseLimits("single=" + text)
		if err != nil || l.Single.String() != text {
			t.Errorf("%s is printed as %s, %v", text, l.Single, err)
		}
	}
}

func TestParseSwitches(t *testing.T) {
	got, err := clerksim.ParseSwitches("limiter=bucket,refused-count", "lag=2s, bulk-size-status=422,lag-varies=true,bulk-partial=false")
	if err != nil {
		t.Fatal(err)
	}
	if got.Limiter != clerksim.LimiterBucket || !got.RefusedCount || got.Lag != 2*time.Second || got.BulkSizeStatus != 422 || !got.LagVaries || got.BulkPartial {
		t.Errorf("got %+v", got)
	}
	if want := "limiter=bucket,refused-count,bulk-size-status=422,lag=2s,lag-varies"; got.String() != want {
		t.Errorf("printed as %q, want %q", got, want)
	}
	if got := (clerksim.Switches{}).String(); got != "" {
		t.Errorf("the defaults are printed as %q", got)
	}
	_, err = clerksim.ParseSwitches("limiter=leaky,colour,limiter,lag=-1s,lag=soon,bulk-size-status=418,lag-varies=maybe,bulk-max=11,bulk-max=0,wrong-method-status=500")
	for _, bad := range []string{`limiter="leaky"`, `"colour"`, `limiter="true"`, `lag="-1s"`, `lag="soon"`, `bulk-size-status="418"`, `lag-varies="maybe"`, `bulk-max="11"`, `bulk-max="0"`, `wrong-method-status="500"`} {
		if err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("no word on %s: %v", bad, err)
		}
	}
}

// TestSwitchesRoundTrip draws switches, prints them and reads them back; every
// value of every switch must turn up and make a Sim.
func TestSwitchesRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	seen := make(map[string]bool)
	for range 300 {
		s := clerksim.DrawSwitches(r)
		got, err := clerksim.ParseSwitches(s.String())
		if err != nil || got != s {
			t.Fatalf("%q is read as %+v, %v", s, got, err)
		}
		if _, err := clerksim.New(clerksim.Config{Switches: s}); err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(s.String(), ",") {
			seen[part] = true
		}
	}
	for _, sw := range clerksim.AllSwitches() {
		for _, v := range sw.Values[1:] {
			if v == "true" {
				v = sw.Name
			} else {
				v = sw.Name + "=" + v
			}
			if !seen[v] && sw.Name != "edge-agent" {
				t.Errorf("%s was never drawn", v)
			}
		}
	}
}

func TestParseFaults(t *testing.T) {
	type rule = clerksim.Rule
	type fault = clerksim.Fault
	tests := []struct {
		text string
		want rule
	}{
		{"drop-after:3%", rule{Fault: fault{Kind: clerksim.DropAfter}, Rate: 0.03}},
		{"drop-before=reset", rule{Fault: fault{Kind: clerksim.DropBefore, Reset: true}}},
		{"create/error-before=503:0.5%:x2", rule{Op: clerksim.OpCreate, Fault: fault{Kind: clerksim.ErrorBefore, Status: 503}, Rate: 0.005, Times: 2}},
		{"bulk_create/refuse-after=400:x1", rule{Op: clerksim.OpBulkCreate, Fault: fault{Kind: clerksim.RefuseAfter, Status: 400}, Times: 1}},
		{"delete/drop-after", rule{Op: clerksim.OpDelete, Fault: fault{Kind: clerksim.DropAfter}}},
		{"slow-before=15s", rule{Fault: fault{Delay: 15 * time.Second}}},
		{"bulk_create/slow-after=1m:x1", rule{Op: clerksim.OpBulkCreate, Fault: fault{Hold: time.Minute}, Times: 1}},
		{"list/lag=3s:50%", rule{Op: clerksim.OpList, Fault: fault{Lag: 3 * time.Second}, Rate: 0.5}},
		{"overload:2m..5m", rule{Fault: fault{Kind: clerksim.Overload}, From: 2 * time.Minute, Until: 5 * time.Minute}},
		{"throttle=99999:1h..", rule{Fault: fault{Kind: clerksim.Throttle, RetryAfter: "99999"}, From: time.Hour}},
		{"partial-bulk=500", rule{Fault: fault{Kind: clerksim.PartialBulk, Status: 500}}},
	}
	for _, tt := range tests {
		got, err := clerksim.ParseFaults(tt.text)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", tt.text, got, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
		if printed := got[0].String(); printed != tt.text {
			t.Errorf("%s is printed as %s", tt.text, printed)
		}
	}
	for _, kind := range []string{"drop-before", "drop-after", "error-before", "error-after", "refuse-after", "gateway-before", "gateway-after", "overload", "throttle",
		"unauthorized", "edge-block", "locked", "redirect", "truncate", "malformed", "empty", "short", "huge", "partial-bulk"} {
		if _, err := clerksim.ParseFaults(kind); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	bad := []string{"explode", "remove/drop-after", "drop-after:0%", "drop-after:101%", "drop-after:x0", "drop-after:5m..2m", "drop-after:soon", "drop-after=hard",
		"slow-before", "slow-after=-1s", "error-before=abc", "error-before=200", "malformed=1", "drop-after:NaN%"}
	_, err := clerksim.ParseFaults(bad...)
	for _, text := range bad {
		if err == nil || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("no word on %s", text)
		}
	}
	if got, err := clerksim.ParseFaults("drop-after:1%, drop-before:1%", "locked:x1"); err != nil || len(got) != 3 {
		t.Errorf("a list: %v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("single=100/1h,bulk=unlimited")
	f.Add("limiter=bucket,refused-count,lag=2s")
	f.Add("create/error-before=503:0.5%:x2,overload:2m..5m")
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := clerksim.ParseLimits(text); err == nil {
			if _, err := clerksim.New(clerksim.Config{Limits: l}); err != nil {
				t.Errorf("limits %q: %v", text, err)
			}
		}
		if s, err := clerksim.ParseSwitches(text); err == nil {
			if again, err := clerksim.ParseSwitches(s.String()); err != nil || again != s {
				t.Errorf("switches %q: %+v, %v", text, again, err)
			}
		}
		if r, err := clerksim.ParseFaults(text); err == nil {
			if _, err := clerksim.New(clerksim.Config{Rules: r}); err != nil {
				t.Errorf("faults %q: %v", text, err)
			}
		}
	})
}

func TestSwitchesAsk(t *testing.T) {
	for _, sw := range clerksim.AllSwitches() {
		if !strings.Contains(sw.Asks, "?") || len(sw.Values) < 2 {
			t.Errorf("%s asks %q, with the answers %q", sw.Name, sw.Asks, sw.Values)
		}
	}
}
