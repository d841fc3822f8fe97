package admin

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// pastMonth writes thirty days into the charts, as workers would have.
func pastMonth(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	now := time.Now().UTC()
	pipe := l.Redis().Pipeline()
	for h := 1; h < 30*24; h++ {
		at := now.Add(-time.Duration(h) * time.Hour)
		key := fmt.Sprintf("%sday:%d", ledger.KeyPrefix(l.Instance()), at.Unix()/86400)
		add := func(what string, n int) {
			if n > 0 {
				pipe.HIncrBy(t.Context(), key, fmt.Sprintf("%d:%s", at.Hour(), what), int64(n))
			}
		}
		version := "v1.4.0"
		if h < 31 {
			version = "v1.5.0"
		}
		add("version:"+version, 60)
		busy := math.Max(0, math.Sin(float64(at.Hour()-5)/24*2*math.Pi)) * (0.6 + 0.4*math.Sin(float64(h)/37))
		clicks := int(70 * busy)
		add("sending>pending", clicks+int(280*busy*busy))
		add("waiting", int(2600*busy*math.Max(0, math.Sin(float64(h)/19))))
		add("bulk", int(25*math.Sqrt(busy)))
		add("single", int(80*busy))
		add("wait:3", clicks*3/4)
		add("wait:4", clicks/5)
		add("wait:7", clicks/40)
		if h == 9 || h == 333 {
			add("closed:bulk:quota", 2)
			add("wait:11", 2)
		}
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestChartsTellWhatTheHoursHave: sums, percentiles, deploys and gates, in figures that a
// screen reader gets too.
func TestChartsTellWhatTheHoursHave(t *testing.T) {
	h := handlerWith(t)
	v := &visitor{t: t, h: h}
	empty := v.ask(http.MethodGet, "/charts", nil)
	if empty.Code != http.StatusOK || !strings.Contains(empty.Body.String(), "Nothing has happened yet.") || strings.Contains(empty.Body.String(), "NaN") {
		t.Errorf("empty: %d %s", empty.Code, empty.Body)
	}
	l := h.cfg.Ledger
	if err := l.Sample(t.Context(), time.Now().Add(-3*time.Hour), "v1", nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Sample(t.Context(), time.Now(), "v2", ledger.Waits{3: 99, 12: 1}); err != nil {
		t.Fatal(err)
	}
	if err := l.SetGate(t.Context(), time.Now(), ledger.GateChange{Endpoint: ledger.Bulk, Until: time.Now().Add(time.Hour), Why: tasks.CauseQuota}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/charts", "/charts?span=30d"} {
		body := v.ask(http.MethodGet, path, nil).Body.String()
		for _, want := range []string{
			"Delivered: 0 together", "How long clicks waited: p50 0.8s, p99 1.0s", "Calls refused for quota (429): 1 together",
			"version v2", "gate over bulk calls closed (quota) once", `class="deploymark"`, `class="gatemark"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		if strings.Contains(body, "version v1<") {
			t.Errorf("%s: the first version that is known is no deploy", path)
		}
	}
}

// TestChartsAreQuick: thirty days of many buckets.
func TestChartsAreQuick(t *testing.T) {
	h := handlerWith(t)
	pastMonth(t, h.cfg.Ledger)
	v := &visitor{t: t, h: h}
	v.ask(http.MethodGet, "/charts", nil)
	began := time.Now()
	w := v.ask(http.MethodGet, "/charts?span=30d", nil)
	if took := time.Since(began); took > time.Second || w.Code != http.StatusOK {
		t.Errorf("%d after %s", w.Code, took)
	} else {
		t.Logf("%s, %d bytes", took, w.Body.Len())
	}
}
