package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// bodyMax bounds what an action reads.
const bodyMax = 1 << 20

// action is one thing that happens to Clerk, or to those who use it.
type action struct {
	Name, Does string
	Params     []param
	do         func(sim *clerksim.Sim, given values) (any, error)
}

type param struct{ Name, Help string }

// values are an action's parameters; body is all of them as JSON.
type values struct {
	text map[string]string
	body string
}

var (
	address    = param{"email_address", "an address"}
	invitation = param{"invitation", "an id, or an address, whose newest pending invitation is meant"}
)

var actions = []action{
	{"add-user", "A person with this address signs up.", []param{address}, onAddress((*clerksim.Sim).AddUser)},
	{"delete-user", "The user with this address is deleted.", []param{address}, func(sim *clerksim.Sim, v values) (any, error) {
		return nil, sim.DeleteUser(v.text["email_address"])
	}},
	{"block", "The instance's block-list gets this address.", []param{address}, onAddress((*clerksim.Sim).BlockAddress)},
	{"unblock", "The block-list loses this address.", []param{address}, onAddress((*clerksim.Sim).UnblockAddress)},
	{"suppress", "Mail to this address bounced: it can be invited, and is sent nothing more.", []param{address}, onAddress((*clerksim.Sim).Suppress)},
	{"unsuppress", "Mail to this address is sent again.", []param{address}, onAddress((*clerksim.Sim).Unsuppress)},
	{"invite", "Another program with the same key invites this address; all parameters of Clerk's CreateInvitation may be given, in JSON.", []param{address},
		func(sim *clerksim.Sim, v values) (any, error) {
			inv, err := sim.CreateForeignFrom(v.body)
			return shown(inv), err
		}},
	{"accept", "The person follows the link and becomes a user.", []param{invitation}, onInvitation((*clerksim.Sim).Accept)},
	{"expire", "The invitation expires now.", []param{invitation}, onInvitation((*clerksim.Sim).Expire)},
	{"revoke", "The invitation is revoked, as in Clerk's dashboard.", []param{invitation}, onInvitation((*clerksim.Sim).RevokeInDashboard)},
	{"delete", "The invitation is deleted for good, whatever its status.", []param{invitation}, onInvitation((*clerksim.Sim).Delete)},
	{"clock", "Clerk's clock is set.", []param{{"offset", "how far ahead of this machine's, such as 744h or -90m; 0s is the same time"}},
		func(sim *clerksim.Sim, v values) (any, error) {
			d, err := time.ParseDuration(v.text["offset"])
			if err != nil {
				return nil, fmt.Errorf("offset %q: want a duration, such as 744h or -90m", v.text["offset"])
			}
			sim.SetClockOffset(d)
			return nil, nil
		}},
	{"fault", "Something goes wrong, from now on.", []param{{"fault", clerksim.FaultHelp}}, func(sim *clerksim.Sim, v values) (any, error) {
		rules, err := clerksim.ParseFaults(v.text["fault"])
		if err != nil {
			return nil, err
		}
		return nil, sim.AddFaults(rules...)
	}},
	{"clear-faults", "Nothing goes wrong any more.", nil, func(sim *clerksim.Sim, _ values) (any, error) { sim.ClearFaults(); return nil, nil }},
	{"spend", "Another program with the same key uses up requests.", []param{{"endpoint", "single, bulk or other"}, {"requests", "how many"}}, spend},
	{"reset", "Everything is as it was at the start.", nil, func(sim *clerksim.Sim, _ values) (any, error) { sim.Reset(); return nil, nil }},
}

func onAddress(do func(*clerksim.Sim, string)) func(*clerksim.Sim, values) (any, error) {
	return func(sim *clerksim.Sim, v values) (any, error) {
		if !strings.Contains(v.text["email_address"], "@") {
			return nil, errors.New("email_address: want an address")
		}
		do(sim, v.text["email_address"])
		return nil, nil
	}
}

func onInvitation(do func(*clerksim.Sim, string) error) func(*clerksim.Sim, values) (any, error) {
	return func(sim *clerksim.Sim, v values) (any, error) { return nil, do(sim, v.text["invitation"]) }
}

func spend(sim *clerksim.Sim, v values) (any, error) {
	endpoint := clerksim.Endpoint(v.text["endpoint"])
	n, err := strconv.Atoi(v.text["requests"])
	switch {
	case !slices.Contains([]clerksim.Endpoint{clerksim.Single, clerksim.Bulk, clerksim.Other}, endpoint):
		return nil, fmt.Errorf("endpoint %q: want single, bulk or other", endpoint)
	case err != nil || n < 1 || n > 10_000:
		return nil, fmt.Errorf("requests %q: want a number from 1 to 10000", v.text["requests"])
	}
	return map[string]int{"admitted": sim.SpendForeign(endpoint, n)}, nil
}

// act performs an action. A browser that sent the page's form gets the page again.
func (h *handler) act(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("action")
	i := slices.IndexFunc(actions, func(a action) bool { return a.Name == name })
	if i < 0 {
		fail(w, http.StatusNotFound, fmt.Errorf("there is no action %q; GET /control/ lists them", name))
		return
	}
	v, form, err := read(w, r)
	var out any
	if err == nil {
		err = v.check(&actions[i])
	}
	if err == nil {
		out, err = actions[i].do(h.sim, v)
	}
	switch {
	case form && strings.Contains(r.Header.Get("Accept"), "text/html"):
		h.after(w, r, actions[i].Name, err)
	case err != nil:
		fail(w, status(err), err)
	case out == nil:
		reply(w, http.StatusOK, map[string]bool{"done": true})
	default:
		reply(w, http.StatusOK, out)
	}
}

// check names the first parameter that is missing or does not exist. The body of
// invite is Clerk's business.
func (v values) check(a *action) error {
	for _, p := range a.Params {
		if v.text[p.Name] == "" && a.Name != "invite" {
			return fmt.Errorf("%s is missing: %s", p.Name, p.Help)
		}
	}
	for name := range v.text {
		if a.Name != "invite" && !slices.ContainsFunc(a.Params, func(p param) bool { return p.Name == name }) {
			return fmt.Errorf("%s takes no %s", a.Name, name)
		}
	}
	return nil
}

// read reads the parameters of an action, and whether they came as a form.
func read(w http.ResponseWriter, r *http.Request) (v values, form bool, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	v.text = make(map[string]string)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/json" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return v, false, err
		}
		var object map[string]any
		if len(body) > 0 && json.Unmarshal(body, &object) != nil {
			return v, false, errors.New("the body is not a JSON object")
		}
		for name, value := range object {
			v.text[name] = fmt.Sprint(value)
		}
		v.body = string(body)
		return v, false, nil
	}
	if err := r.ParseForm(); err != nil {
		return v, true, err
	}
	for name := range r.PostForm {
		v.text[name] = strings.TrimSpace(r.PostForm.Get(name))
	}
	body, err := json.Marshal(v.text)
	v.body = string(body)
	return v, true, err
}
