package enqueuetest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// faults are the reasons that Clerk gives by refusing each call for an address.
var faults = map[tasks.Reason]clerksim.Fault{
	tasks.ReasonInvalid:   {Kind: clerksim.ErrorBefore, Status: http.StatusUnprocessableEntity, Code: "form_param_value_invalid"},
	tasks.ReasonAttempts:  {Kind: clerksim.Locked},
	tasks.ReasonMalformed: {Kind: clerksim.ErrorBefore, Status: http.StatusBadRequest, Code: "request_body_invalid"},
}

// Fail makes the simulated Clerk such that an invite for the address ends with this
// reason: existing_user (the person has an account), already_invited (another program
// has invited them), blocked, invalid, attempts_exhausted (Clerk is busy with the
// address for ever) or malformed_request (the invite is parked). Other reasons end the
// test. What becomes of the invite Client.Status tells after Deliver.
func Fail(t testing.TB, c *enqueue.Client, address string, reason tasks.Reason) {
	t.Helper()
	k := kitOf(t, c)
	if _, err := tasks.ParseEmail(address); err != nil {
		t.Fatalf("enqueuetest: Fail needs an address: %v", err)
	}
	switch reason {
	case tasks.ReasonExistingUser:
		k.sim.AddUser(address)
	case tasks.ReasonAlreadyInvited:
		if _, err := k.sim.CreateForeign(address); err != nil {
			t.Fatalf("enqueuetest: %v", err)
		}
		// Whose an invitation is that was made within a second of ours cannot be told.
		k.mu.Lock()
		k.ahead += time.Minute
		k.mu.Unlock()
	case tasks.ReasonBlocked:
		k.sim.BlockAddress(address)
	default:
		if _, ok := faults[reason]; !ok {
			t.Fatalf("enqueuetest: Fail knows existing_user, already_invited, blocked, invalid, attempts_exhausted and malformed_request, not %s", reason)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.fails[strings.ToLower(address)] = reason
	}
}

// fault strikes the calls that carry an address which shall fail.
func (k *kit) fault(r clerksim.Request) clerksim.Fault {
	if r.Op != clerksim.OpCreate && r.Op != clerksim.OpBulkCreate {
		return clerksim.Fault{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := slices.IndexFunc(r.Addresses, func(a string) bool { return k.fails[a] != "" }); n >= 0 {
		return faults[k.fails[r.Addresses[n]]]
	}
	return clerksim.Fault{}
}
