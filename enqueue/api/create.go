package api

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// readOne takes in the body of a create.
func (x *exchange) readOne() *answer { return x.readJSON(maxBody) }

// create is POST /v1/invitations.
func (x *exchange) create() *answer {
	wait, refused := x.wait(x.cfg.Wait)
	if refused != nil {
		return refused
	}
	key, refused := x.key()
	if refused != nil {
		return refused
	}
	invite, bad, err := parseOne(x.body, tasks.Interactive)
	switch {
	case err != nil:
		return invalidBody(err.Error())
	case len(bad) > 0:
		return &answer{status: http.StatusUnprocessableEntity, problems: bad}
	}
	ctx, cancel := x.toTheEnd(storeTime + wait)
	defer cancel()
	if refused := x.bind(ctx, key, requestOf("create", invite)); refused != nil {
		return refused
	}
	invite.ID, invite.Owner = tasks.NewID("inq"), x.token.Name
	if !key.isZero() {
		if invite.ID, err = x.inviteID(ctx, key); err != nil {
			return unavailable(err)
		}
	}
	x.entry.ID = invite.ID
	if refused := x.crowded(ctx, invite.ID); refused != nil {
		return refused
	}
	result, err := x.cfg.Client.Invite(ctx, invite)
	switch {
	case errors.Is(err, enqueue.ErrConflict):
		return key.conflict()
	case err != nil:
		return unavailable(err)
	case result.Forgotten:
		return forgotten()
	}
	// That its task is missing is for the log: a worker sends it all the same.
	taskErr := result.TaskErr
	x.entry.Invites, x.entry.Replayed = 1, result.Existing
	x.asked = true
	records, err := x.await(wait, settled, invite.ID)
	if err != nil || len(records) == 0 {
		return unavailable(errors.Join(err, taskErr))
	}
	var got *answer
	if records[0].State == tasks.Rejected {
		got = refusedByClerk(records[0])
	} else {
		got = x.showOne(ctx, http.StatusOK, records[0])
	}
	got.err = errors.Join(got.err, taskErr)
	return got.replayed(result.Existing)
}

func (a *answer) replayed(yes bool) *answer {
	if yes {
		a.with("Idempotent-Replayed", "true")
	}
	return a
}

// forgotten says that the id dedupes still, but its record is gone.
func forgotten() *answer {
	return refuse(http.StatusGone, codeForgotten, "already settled",
		"This invitation was settled so long ago that nothing more is known of it. It was not sent again.")
}

// wait is how long the answer may take: ?wait= in seconds.
func (x *exchange) wait(otherwise time.Duration) (time.Duration, *answer) {
	q := x.r.URL.Query()
	if refused := refuseUnknown(q, "wait"); refused != nil {
		return 0, refused
	}
	return waitParam(q, otherwise)
}

func waitParam(q url.Values, otherwise time.Duration) (time.Duration, *answer) {
	if !q.Has("wait") {
		return otherwise, nil
	}
	n, err := strconv.ParseFloat(q.Get("wait"), 64)
	if err != nil || !(n >= 0 && n <= maxWait.Seconds()) || len(q["wait"]) > 1 {
		return 0, refuseParam(codeValue, "wait", "must be a number of seconds from 0 to 30.")
	}
	return time.Duration(n * float64(time.Second)), nil
}

// refusedByClerk is what Clerk would have answered had it been asked at once.
func refusedByClerk(r ledger.Record) *answer {
	var p problem
	status := http.StatusUnprocessableEntity
	switch r.Reason {
	case tasks.ReasonExistingUser:
		p = paramProblem(codeExists, "email_address", "is taken. Please try another.")
	case tasks.ReasonAlreadyInvited:
		status = http.StatusBadRequest
		// As Clerk names it, to the client that asked for it.
		p = problem{Message: "duplicate invitation", LongMessage: "There is already a pending invitation for this email address.",
			Code: codeDuplicate, Meta: map[string]any{"email_addresses": []string{strings.ToLower(r.Invite.EmailAddress.Raw())}}}
	case tasks.ReasonBlocked:
		status = http.StatusForbidden
		p = problem{Message: "Access not allowed.", LongMessage: "The identifier is not allowed access.", Code: codeBlocked, Meta: map[string]any{}}
	default:
		p = problem{Message: "is invalid", LongMessage: "Clerk has refused the invitation.", Code: codeValue, Meta: map[string]any{}}
	}
	p.Meta["inviteq"] = map[string]any{"id": r.Invite.ID, "state": r.State.String(), "reason": r.Reason}
	return &answer{status: status, problems: []problem{p}}
}

// bulkLane is the lane of a member that names none. What fits one call of Clerk's
// is what somebody with one of Clerk's SDKs sends while a person waits.
func bulkLane(n int) tasks.Lane {
	if n <= ledger.BulkSize {
		return tasks.Interactive
	}
	return tasks.Import
}

// bulk is POST /v1/invitations/bulk. Every member is checked before the first is
// accepted.
func (x *exchange) bulk() *answer {
	wait, refused := x.wait(x.cfg.Wait)
	if refused != nil {
		return refused
	}
	key, refused := x.key()
	if refused != nil {
		return refused
	}
	invites, refused := parseBulk(x.body)
	x.body = nil // It may be large, and there may be a long wait.
	if refused != nil {
		return refused
	}
	ids, existing, err, refused := x.admitBulk(invites, key)
	if refused != nil {
		return refused
	}
	x.asked = true
	records, awaitErr := x.await(wait, settled, ids...)
	if awaitErr != nil {
		return unavailable(awaitErr)
	}
	if len(records) < len(ids) {
		return forgotten()
	}
	ctx, cancel := x.toTheEnd(storeTime)
	defer cancel()
	list, showErr := x.show(ctx, records)
	if showErr != nil {
		return unavailable(showErr)
	}
	got := ok(list).with("Inviteq-Import-Id", x.entry.ID).replayed(existing)
	got.err = err
	return got
}

// readBulk takes in the body of a bulk call. Few of them are in memory at a time:
// the place is held until there is one to work on it.
func (x *exchange) readBulk() *answer {
	if x.hold = x.enter(x.bodies); x.hold == nil {
		return busy()
	}
	// The time that the request has waited was not the client's.
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(x.cfg.ReadTimeout)) // a recorder in a test has none
	return x.readJSON(maxBulkBody)
}

// admitBulk puts the members into the ledger, as an import. existing says that
// all of them were there; err is for the log only.
func (x *exchange) admitBulk(invites []tasks.Invite, key idempotencyKey) (ids []string, existing bool, err error, refused *answer) { //nolint:revive // err is a remark, not the verdict
	ctx, cancel := x.toTheEnd(storeTime)
	defer cancel()
	if refused := x.bind(ctx, key, requestOf("bulk", invites...)); refused != nil {
		return nil, false, nil, refused
	}
	x.entry.ID = tasks.NewID("imp")
	if !key.isZero() {
		x.entry.ID = key.importID()
	}
	ids = make([]string, len(invites))
	for n := range invites {
		i := &invites[n]
		i.ID = tasks.ImportInviteID(x.entry.ID, i.EmailAddress)
		if !key.isZero() {
			i.ID = key.member(n)
		}
		ids[n] = i.ID
	}
	if refused := x.crowded(ctx, ids...); refused != nil {
		return nil, false, nil, refused
	}
	result, err := x.cfg.Client.BulkInvite(ctx, enqueue.Each(invites), enqueue.BulkOptions{ImportID: x.entry.ID, Owner: x.token.Name, KeepLanes: true})
	x.entry.Invites = result.Admitted + result.Known
	if err != nil {
		a := unavailable(err)
		a.problems[0].Meta = map[string]any{"accepted": result.Done(), "import_id": x.entry.ID}
		a.problems[0].LongMessage = "The queue failed half way. Members that were accepted will be sent; with an Idempotency-Key the request can be repeated."
		return nil, false, nil, a
	}
	if result.Conflicting > 0 {
		return nil, false, nil, key.conflict()
	}
	x.entry.Replayed = result.Admitted == 0
	return ids, x.entry.Replayed, result.TaskErr, nil
}
