package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// concern is something that a person should know of, the gravest first.
type concern struct {
	Grave  bool   // Nothing is delivered, or something may be lost. Otherwise it can wait for the morning.
	What   string // A sentence.
	Advice string // What to do; may be empty.
	Run    string // A command that does it; may be empty.
	Link   string // Where to look; may be empty.
}

// concerns decides what needs a person, from a view; err is why there is none.
func (h *Handler) concerns(v view, err error) []concern {
	var all []concern
	add := func(c concern) { all = append(all, c) }
	for _, what := range slices.Sorted(maps.Keys(v.Problems)) {
		add(concern{Grave: what != tasks.ProblemDraining, What: what.Entry().Means, Advice: v.Problems[what]})
	}
	conditions := h.cfg.Conditions()
	for _, what := range slices.Sorted(maps.Keys(conditions)) {
		if v.Problems[tasks.ProblemDurability] == "" || what == tasks.ConditionNearlyFull {
			add(concern{Grave: what == tasks.ConditionEvicts || what == tasks.ConditionDiskFails, What: conditions[what]})
		}
	}
	if err != nil {
		if v.Problems[tasks.ProblemRedis] == "" {
			add(concern{Grave: true, What: "The ledger cannot be read.", Advice: "Check REDIS_URL and the server. Nothing is lost: what waits stays in Redis."})
		}
		return all
	}
	o := v.Overview
	flag := ""
	if name := h.cfg.Ledger.Instance(); name != tasks.DefaultInstance {
		flag = " --instance " + name
	}
	if o.Closed.Closed() && v.Problems[tasks.ProblemClerkKey] == "" {
		add(concern{Grave: true, What: "Nothing can be sent.", Advice: o.Closed.Why.Entry().String() + " The next try is " + show.In(v.Now, o.Closed.Until) + "."})
	}
	if v.Differ != "" {
		add(concern{What: "Workers have different limits.", Advice: v.Differ})
	}
	if v.Breaker.State == clerk.Open {
		add(concern{What: "Clerk does not answer, so this worker does not call it.", Advice: "The next try is " + show.In(v.Now, v.Breaker.RetryAt) + ". Waiting costs nothing; see status.clerk.com."})
	}
	for _, lane := range tasks.Lanes {
		if since, ok := o.Paused[lane]; ok {
			add(concern{
				What: fmt.Sprintf("The %s lane has been paused for %s.", lane, show.Duration(v.Now.Sub(since))),
				Run:  "inviteq resume --lane " + lane.String() + flag,
			})
		}
	}
	if n := o.States[tasks.Parked]; n > 0 {
		list, explained := reasonsOf(v.Parked)
		add(concern{
			What:   show.Count(n, "invite") + " " + isOrAre(n) + " parked: " + list + ".",
			Advice: explained, Run: "inviteq list --state parked" + flag,
		})
	}
	if n := int64(len(v.Doubtful)); n > 0 {
		add(concern{
			What:   show.Count(n, "invite") + " " + isOrAre(n) + " unknown for longer than reading takes.",
			Advice: "Clerk's list cannot be read, or does not settle them. They are not sent again until it does.", Run: "inviteq list --state unknown" + flag,
		})
	}
	if n := o.States[tasks.Failed]; n > 0 {
		add(concern{
			What: show.Count(n, "invite") + " " + hasOrHave(n) + " failed: their attempts or their time ran out.",
			Run:  "inviteq retry --state failed --dry-run" + flag,
		})
	}
	for _, e := range []ledger.Endpoint{ledger.Single, ledger.Bulk} {
		if until := o.Quotas[e].Gate.CarefulUntil; !until.IsZero() {
			add(concern{
				What:   "Clerk refused a call (" + string(e) + ") that the configured limits allow.",
				Advice: "Another program spends the same key, or the configured limits are too high. Workers space their calls evenly for " + show.Duration(until.Sub(v.Now)) + ".",
			})
		}
	}
	if g := o.Quotas[ledger.Bulk].Gate; g.Most > 0 {
		what := fmt.Sprintf("Clerk refuses bulk calls, whatever invites they hold. For %s a call holds %d at most.", show.Duration(g.MostUntil.Sub(v.Now)), o.BulkNow())
		if !g.Smaller() {
			what = "Clerk refuses bulk calls, whatever invites they hold. For " + show.Duration(g.MostUntil.Sub(v.Now)) + " each invite goes alone."
		}
		add(concern{What: what, Advice: tasks.CauseBulkRefused.Entry().Do, Run: "inviteq quota" + flag})
	}
	if o.Refused > 0 {
		add(concern{
			What:   "Clerk refuses " + show.Count(o.Refused, "revoke") + ".",
			Advice: "Workers try again ever more rarely, every two hours in the end. The log lines \"Clerk refuses to revoke\" name the invitations: revoke them in Clerk's dashboard, or see what the code says.",
		})
	}
	all = append(all, h.reconcileConcerns(v, flag)...)
	if v.GivenUp > 0 {
		add(concern{
			What:   "The receiver of webhooks has not taken " + show.Count(v.GivenUp, "event") + map[bool]string{true: " or more"}[v.GivenUp >= rowsAPage] + ".",
			Advice: "They are not tried again by themselves: see its answers, and replay them.", Link: "/webhooks?state=given+up",
		})
	}
	for _, queue := range slices.Sorted(maps.Keys(v.Broken)) {
		n := v.Broken[queue]
		add(concern{
			What:   show.Count(n, "task") + " in the queue " + queue + " could not be read.",
			Advice: "A producer writes payloads that inviteq does not understand; asynq has archived them with the reason.",
			Link:   monitoringPath + "/queues/" + url.PathEscape(queue) + "/tasks?status=archived",
		})
	}
	slices.SortStableFunc(all, func(a, b concern) int {
		switch {
		case a.Grave == b.Grave:
			return 0
		case a.Grave:
			return -1
		}
		return 1
	})
	return all
}

// staleFull is when the daily pass is late.
const staleFull = 26 * time.Hour

func (h *Handler) reconcileConcerns(v view, flag string) (all []concern) {
	full, ok := v.Reports["full"]
	if !ok {
		return nil
	}
	if full.Missing > 0 {
		all = append(all, concern{
			What:   show.Count(full.Missing, "invitation") + " that inviteq made " + isOrAre(int64(full.Missing)) + " absent at Clerk.",
			Advice: "Found " + show.Ago(v.Now, full.StartedAt) + ". Was the Clerk instance reset, or does the key belong to another one?", Link: "/reconciliation?kind=full&of=missing#rows",
		})
	}
	if full.Doubled > full.Revoked {
		n := int64(full.Doubled - full.Revoked)
		all = append(all, concern{What: show.Count(n, "person") + " " + hasOrHave(n) + " more than one pending invitation at Clerk.", Run: "inviteq reconcile --full --revoke-extra" + flag, Link: "/reconciliation?kind=full&of=doubled#rows"})
	}
	if v.Now.Sub(full.StartedAt) > staleFull {
		all = append(all, concern{What: "Ledger and Clerk were last compared in full " + show.Ago(v.Now, full.StartedAt) + ".", Advice: "It should happen daily: look for failing tasks in the control queue.", Link: monitoringPath + "/"})
	}
	return all
}

// reasonsOf lists why, the most frequent first, and explains each reason.
func reasonsOf(records []ledger.Record) (list, explained string) {
	counts := map[tasks.Reason]int{}
	for _, r := range records {
		counts[r.Reason]++
	}
	var names, texts []string
	for _, r := range slices.SortedFunc(maps.Keys(counts), func(a, b tasks.Reason) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		names, texts = append(names, words(r)), append(texts, r.Entry().String())
	}
	return strings.Join(names, ", "), strings.Join(texts, " ")
}

func isOrAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func hasOrHave(n int64) string {
	if n == 1 {
		return "has"
	}
	return "have"
}
