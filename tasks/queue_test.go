package tasks

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
)

func TestQueuesOf(t *testing.T) {
	tests := []struct {
		instance string
		want     Queues
	}{
		{"", Queues{"interactive", "import", "control"}},
		{"default", Queues{"interactive", "import", "control"}},
		{"acme", Queues{"acme:interactive", "acme:import", "acme:control"}},
	}
	for _, tt := range tests {
		got := QueuesOf(tt.instance)
		if got != tt.want {
			t.Errorf("QueuesOf(%q) = %v, want %v", tt.instance, got, tt.want)
		}
		if got.Of(Interactive) != tt.want.Interactive || got.Of(Import) != tt.want.Import {
			t.Errorf("Of: %q, %q", got.Of(Interactive), got.Of(Import))
		}
		if diff := cmp.Diff([]string{tt.want.Interactive, tt.want.Control, tt.want.Import}, got.Names()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCheckInstance(t *testing.T) {
	tests := []struct {
		in string
		ok bool
	}{
		{"default", true},
		{"acme-1_eu", true},
		{strings.Repeat("a", 32), true},
		{"", false},
		{strings.Repeat("a", 33), false},
		{"Acme", false},
		{"a:b", false},
		{"a{b}", false},
		{"é", false},
	}
	for _, tt := range tests {
		if err := CheckInstance(tt.in); (err == nil) != tt.ok {
			t.Errorf("CheckInstance(%q) = %v", tt.in, err)
		}
	}
}

// TestOptions pins what asynq is told: above all, that it never runs out of
// retries by itself.
func TestOptions(t *testing.T) {
	got := make(map[asynq.OptionType]any)
	for _, o := range Options("import", "imp_1:0") {
		got[o.Type()] = o.Value()
	}
	want := map[asynq.OptionType]any{
		asynq.QueueOpt: "import", asynq.TaskIDOpt: "imp_1:0", asynq.MaxRetryOpt: math.MaxInt32,
		asynq.TimeoutOpt: Timeout, asynq.RetentionOpt: Retention,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLane(t *testing.T) {
	if len(Lanes) != len(laneNames) {
		t.Errorf("%d lanes, %d names", len(Lanes), len(laneNames))
	}
	for _, l := range Lanes {
		b, err := json.Marshal(l)
		var back Lane
		if err != nil || json.Unmarshal(b, &back) != nil || back != l || string(b) != `"`+l.String()+`"` {
			t.Errorf("%v became %s and %v", l, b, back)
		}
		if parsed, err := ParseLane(l.String()); parsed != l || err != nil {
			t.Errorf("ParseLane(%q) = %v, %v", l.String(), parsed, err)
		}
	}
	for _, s := range []string{"", "Import", "bulk", " import"} {
		if l, err := ParseLane(s); err == nil {
			t.Errorf("ParseLane(%q) = %v", s, l)
		}
	}
	l := Import
	if err := l.UnmarshalText(nil); err != nil || l != Interactive {
		t.Errorf("an empty text is %v, %v", l, err)
	}
	if got := Lane(7).String(); got != "lane(7)" {
		t.Errorf("String() = %q", got)
	}
}
