package policy_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/inviteq/inviteq/tasks/ledger/policy"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// harness runs every function of policy.lua on a list of states.
const harness = `
local out = {}
local function say(x) out[#out + 1] = type(x) == 'number' and string.format('%.17g', x) or x end
for _, s in ipairs(cjson.decode(ARGV[1])) do
  local action, at = decide(s)
  say(action) say(at)
  say(kept_of(s.reserve, s.single.limit, s.demand))
  say(spacing(s.single.limit, s.span, s.demand, 3))
  say(soft_interval(s.single.limit, s.span, true)) say(soft_interval(s.single.limit, s.span, false))
  say(depth(s.single.limit)) say(in_flight(s.single.limit, s.span)) say(care(s.span))
  local d = {start = s.fade.Start, cur = s.fade.Cur, prev = s.fade.Prev}
  roll(d, s.now, s.span, s.ni)
  local demand, changes = demand_at(d, s.now, s.span)
  say(d.start) say(d.cur) say(d.prev) say(demand) say(changes)
end
return out`

type sample struct {
	policy.State
	Span float64       `json:"span"`
	Fade policy.Demand `json:"fade"`
}

// twin says in Go what harness says in Lua.
func (s sample) twin() (out []string) {
	say := func(xs ...float64) {
		for _, x := range xs {
			out = append(out, strconv.FormatFloat(x, 'g', -1, 64))
		}
	}
	action, at := policy.Decide(&s.State)
	out = append(out, string(action))
	limit := s.Single.Limit
	say(at, float64(policy.Kept(s.Reserve, limit, s.Demand)), policy.Spacing(limit, s.Span, s.Demand, 3),
		policy.SoftInterval(limit, s.Span, true), policy.SoftInterval(limit, s.Span, false),
		policy.Depth(limit), float64(policy.InFlight(limit, s.Span)), policy.Care(s.Span))
	d := s.Fade
	d.Roll(s.Now, s.Span, float64(s.Interactive))
	demand, changes := d.At(s.Now, s.Span)
	say(d.Start, d.Cur, d.Prev, demand, changes)
	return out
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomSample(r *rand.Rand) sample {
	now := 1.8e12 + float64(r.IntN(1e7))
	span := pick(r, 1050.0, 61500, 3601500, 86401500)
	near := func() float64 { return now + math.Round((r.Float64()-0.5)*pick(r, 1, 1000, span)) }
	endpoint := func() policy.Endpoint {
		e := policy.Endpoint{
			Limit: pick(r, 0, 1, 5, 25, 100, 10000), HardAt: math.Max(now, near()), SoftAt: near(), Last: near(),
			SpareAt: pick(r, now, near(), policy.Never), ImportAt: near(), Free: r.IntN(30), NextAt: near(),
		}
		if e.Limit > 0 {
			e.Interval = span / float64(e.Limit)
		}
		if r.IntN(2) == 0 {
			e.HardAt = now
		}
		return e
	}
	count := func() int { return pick(r, 0, 0, 1, r.IntN(12), r.IntN(1e6)) }
	return sample{
		State: policy.State{
			Now: now, Size: pick(r, 1, 2, 10, 10), Interactive: count(), Import: count(), Solo: r.IntN(2), SoloLane: r.IntN(2),
			ArrivedAt: near(), Demand: pick(r, 0, r.Float64()*400, float64(r.IntN(200))), Reserve: pick(r, -1, -1, 0, r.IntN(200)),
			Single: endpoint(), Bulk: endpoint(),
		},
		Span: span,
		Fade: policy.Demand{Start: now - math.Floor(r.Float64()*3*span), Cur: float64(r.IntN(200)), Prev: float64(r.IntN(200))},
	}
}

func TestLuaAndGoAgree(t *testing.T) {
	rdb := redistest.Shared(t)
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	for range 40 {
		samples := make([]sample, 250)
		var want []string
		for i := range samples {
			samples[i] = randomSample(r)
			w := samples[i].twin()
			seen[w[0]]++
			want = append(want, w...)
		}
		in, err := json.Marshal(samples)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rdb.Eval(t.Context(), policy.Lua+harness, nil, in).StringSlice()
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("got %d answers, want %d", len(got), len(want))
		}
		per := len(want) / len(samples)
		for i := range got {
			g, gerr := strconv.ParseFloat(got[i], 64)
			w, werr := strconv.ParseFloat(want[i], 64)
			if (gerr == nil) != (werr == nil) || g != w || gerr != nil && got[i] != want[i] {
				b, _ := json.Marshal(samples[i/per])
				t.Fatalf("answer %d: Lua says %s, Go says %s for %s", i%per, got[i], want[i], b)
			}
		}
	}
	for _, a := range []policy.Action{policy.Bulk, policy.Single, policy.Solo, policy.Wait, policy.Idle} {
		if seen[string(a)] < 100 {
			t.Errorf("only %d of 10000 states led to %q: the states are too tame", seen[string(a)], a)
		}
	}
}
