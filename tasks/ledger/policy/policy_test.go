package policy_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/inviteq/inviteq/tasks/ledger/policy"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// harness plays samples on policy.lua.
const harness = `
local out = {}
local function say(...)
  for _, x in ipairs({...}) do out[#out + 1] = type(x) == 'number' and string.format('%.17g', x) or x end
end
for _, x in ipairs(cjson.decode(ARGV[1])) do
  for _, q in ipairs({x.Single, x.Bulk, x.Other}) do
    local calls = q.Log
    q.Log = {
      Len = function() return #calls end,
      At = function(i) return calls[i + 1] end,
      After = function(t)
        local n = 0
        for _, c in ipairs(calls) do if c > t then n = n + 1 end end
        return n
      end,
    }
  end
  Roll(x.Demand, x.Now, x.Single.Window, x.People)
  local s = NewState(x.Now, x.Size, x.Reserve, 25000, x.Single, x.Bulk, x.Other, x.Demand, x.Single.Window)
  s.People, s.PeopleOne, s.Rows, s.RowsOne = x.People, x.PeopleOne, x.Rows, x.RowsOne
  s.ArrivedAt, s.Every, s.Since, s.GroupTat, s.ImportAt = x.ArrivedAt, x.Every, x.Since, x.GroupTat, x.ImportAt
  say(Decide(s))
  say(s.Outlook.People, s.Outlook.Growing, s.Outlook.Spread, s.Outlook.MidAt, s.Outlook.NextAt, s.Kept, s.Gap)
  say(Spacing(s.Outlook, x.Single.Calls, x.Single.Span, s.Kept))
  BeCareful(x.Bulk, x.Now)
  Pay(x.Bulk, x.Now)
  say(x.Bulk.Tat)
end
return out`

// sample is what a decision comes from.
type sample struct {
	Now, Reserve                                float64
	Size, People, PeopleOne, Rows, RowsOne      int
	ArrivedAt, Every, Since, GroupTat, ImportAt float64
	Single, Bulk, Other                         policy.Quota
	Demand                                      policy.Demand
}

// play says in Go what harness says in Lua.
func (x sample) play() (out []string) {
	say := func(xs ...float64) {
		for _, x := range xs {
			out = append(out, strconv.FormatFloat(x, 'g', -1, 64))
		}
	}
	x.Demand.Roll(x.Now, x.Single.Window, float64(x.People))
	s := policy.NewState(x.Now, x.Size, x.Reserve, 25000, &x.Single, &x.Bulk, &x.Other, &x.Demand, x.Single.Window)
	s.People, s.PeopleOne, s.Rows, s.RowsOne = x.People, x.PeopleOne, x.Rows, x.RowsOne
	s.ArrivedAt, s.Every, s.Since, s.GroupTat, s.ImportAt = x.ArrivedAt, x.Every, x.Since, x.GroupTat, x.ImportAt
	action, at := policy.Decide(s)
	out = append(out, string(action))
	say(at, s.Outlook.People, s.Outlook.Growing, s.Outlook.Spread, s.Outlook.MidAt, s.Outlook.NextAt, s.Kept, s.Gap)
	say(s.Outlook.Spacing(x.Single.Calls, x.Single.Span, s.Kept))
	x.Bulk.BeCareful(x.Now)
	x.Bulk.Pay(x.Now)
	say(x.Bulk.Tat)
	return out
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomSample(r *rand.Rand) sample {
	now := 1.8e12 + float64(r.IntN(1e7))
	span := pick(r, 1050.0, 61500, 3601500, 86401500)
	near := func() float64 { return now + math.Round((r.Float64()-0.5)*pick(r, 1, 1000, span)) }
	quota := func() policy.Quota {
		limit := pick(r, 0, 1, 5, 25, 100)
		calls := make(policy.Calls, pick(r, 0, limit, r.IntN(limit+1)))
		for i := range calls {
			calls[i] = now - math.Floor(r.Float64()*span) + pick(r, 0, 0, 0, 25000.0)
		}
		slices.Sort(calls)
		return policy.Quota{
			Calls: float64(limit), Window: span - 50, Span: span, Log: &calls, Last: near(), Tat: near(),
			Until: pick(r, 0, 0, 0, near()), Probe: pick(r, 0, 0, near()), Careful: pick(r, 0, 0, near()),
		}
	}
	count := func() int { return pick(r, 0, 0, 1, r.IntN(12), r.IntN(1e6)) }
	return sample{
		Now: now, Size: pick(r, 1, 2, 10, 10), People: count(), PeopleOne: pick(r, 0, 0, count()), Rows: count(), RowsOne: pick(r, 0, 0, count()),
		ArrivedAt: near(), Every: pick(r, 10, 900, 1e6), Since: near(), GroupTat: near(), ImportAt: near(), Reserve: pick(r, -1, -1, 0, float64(r.IntN(200))),
		Single: quota(), Bulk: quota(), Other: quota(),
		Demand: policy.Demand{
			Began: pick(r, 0, 1.7e12, near()), Start: now - math.Floor(r.Float64()*3*span), Cur: float64(r.IntN(200)), Prev: float64(r.IntN(200)),
			Step: float64(r.IntN(32)), Here: float64(r.IntN(20)), CurSq: float64(r.IntN(3000)), PrevSq: float64(r.IntN(3000)),
		},
	}
}

// What the translator has made of the Go decides as the Go does.
func TestLuaAndGoAgree(t *testing.T) {
	rdb := redistest.Shared(t)
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	for range 40 {
		samples := make([]sample, 250)
		for i := range samples {
			samples[i] = randomSample(r)
		}
		in, err := json.Marshal(samples) // before they are played, which changes them
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, s := range samples {
			w := s.play()
			seen[w[0]]++
			want = append(want, w...)
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
	for _, a := range []policy.Action{policy.Bulk, policy.Single, policy.Wait, policy.Idle} {
		if seen[string(a)] < 100 {
			t.Errorf("only %d of 10000 states led to %q: the states are too tame", seen[string(a)], a)
		}
	}
}
