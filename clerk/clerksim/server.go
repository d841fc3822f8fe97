package clerksim

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bodyMax is the largest request body that is accepted.
const bodyMax = 1 << 20

// request is a request on its way through the simulator, up to its answer.
type request struct {
	sim  *Sim
	r    *http.Request
	op   Op
	id   string // of a revoke or a delete
	miss int    // status of a request to nothing, or 0

	body  []byte
	items []item // of a create or a bulk create
	bad   *answer
	dice  *rand.Rand
	trace string
	fault Fault
	call  Call
}

// ServeHTTP answers a request under /v1/. A request passes these stages, and a
// fault strikes in the stage its kind names: the wire and Clerk's edge; the
// secret key; the rate limits; validation; commit; the answer.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &request{sim: s, r: r}
	x.op, x.id, x.miss = s.route(r)
	var err error
	x.body, err = io.ReadAll(io.LimitReader(r.Body, bodyMax))
	if err == nil {
		var rest int64
		if rest, err = io.Copy(io.Discard, r.Body); rest > 0 {
			x.op, x.miss = OpUnknown, http.StatusRequestEntityTooLarge
		}
	}
	if err != nil {
		drop(w, false) // the client went away in the middle of its request
		return
	}
	if x.op == OpCreate || x.op == OpBulkCreate {
		x.items, x.bad = s.parse(x.op, r.Header.Get("Content-Type"), x.body)
	}
	s.mu.Lock()
	x.dice = s.dice.roll(r.Method, r.URL.Path, r.URL.RawQuery, string(x.body))
	s.mu.Unlock()

	req := Request{Op: x.op, Header: r.Header, InvitationID: x.id, RawQuery: r.URL.RawQuery}
	for _, it := range x.items {
		req.Addresses = append(req.Addresses, strings.ToLower(it.email))
	}
	x.trace = newTraceID(x.dice)
	x.fault = s.faultOf(req, x.dice)
	takes := s.cfg.Latency.draw(x.dice)
	before := time.Duration(x.dice.Float64() * float64(takes))
	x.call = Call{Arrived: time.Now(), Op: x.op, Endpoint: x.op.Endpoint(), Addresses: req.Addresses, InvitationID: x.id,
		RawQuery: r.URL.RawQuery, UserAgent: r.UserAgent(), Fault: x.fault}

	if !s.sleep(before + x.fault.Delay) {
		drop(w, false)
		return
	}
	a := x.judge()
	if s.cfg.OnCall != nil {
		s.cfg.OnCall(x.call)
	}
	if !s.sleep(takes - before + x.fault.Hold) {
		drop(w, false)
		return
	}
	x.deliver(w, a)
}

// judge takes the request through everything up to its answer, in one step
// under the lock, and writes it down in the history.
func (x *request) judge() *answer {
	s := x.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	a := x.decide(now)
	x.call.Time = now
	x.call.Status = a.status
	if p, ok := a.value.(*problems); ok {
		p.TraceID = x.trace
		x.call.Code = p.Errors[0].Code
	}
	if x.fault.drops() || x.fault.Kind == Truncate {
		x.call.Status = 0
	}
	s.history.record(x.call)
	return a
}

func (x *request) decide(now time.Time) *answer {
	s, f := x.sim, x.fault
	if f.edge() {
		return x.edgeAnswer()
	}
	if s.cfg.Switches.EdgeAgent && defaultAgent(x.r.UserAgent()) {
		x.fault.Kind = EdgeBlock
		return x.edgeAnswer()
	}
	if bad := s.authorize(x.r.Header.Get("Authorization")); bad != nil {
		return bad
	}
	if bad := s.checkVersion(x.r); bad != nil {
		return bad
	}
	wait, ok := s.admit(x.call.Endpoint, now)
	if !ok {
		x.call.Throttled = true
		return s.throttled(wait, now)
	}
	x.call.Admitted = true
	if f.before() {
		return x.faultAnswer()
	}
	if f.Kind == PartialBulk {
		if x.op == OpBulkCreate && x.bad == nil && len(x.items) > 1 {
			x.create(x.items[:len(x.items)/2], now) // whatever it says, the call fails
		}
		return x.faultAnswer()
	}
	a := x.handle(now)
	x.call.Committed = a.status/100 == 2 && x.op.writes()
	switch {
	case f.Kind == ErrorAfter || f.Kind == GatewayAfter || f.Kind == RefuseAfter || f.Kind == Malformed && a.status == http.StatusOK ||
		f.Kind == Empty && a.status == http.StatusOK:
		return x.faultAnswer()
	case f.Kind == Short:
		return shorten(a)
	}
	return a
}

// handle performs the operation.
func (x *request) handle(now time.Time) *answer {
	s := x.sim
	switch x.op {
	case OpCreate, OpBulkCreate:
		if x.bad != nil {
			return x.bad
		}
		return x.create(x.items, now)
	case OpList:
		return s.list(x.r.URL.Query(), s.view(now, x.fault, x.dice), x.dice)
	case OpRevoke:
		return x.revoke(now)
	case OpDelete:
		return x.delete(now)
	case OpUsers, OpUsersCount:
		return s.findUsers(x.op, x.r.URL.Query(), s.view(now, x.fault, x.dice))
	}
	switch x.miss {
	case http.StatusMethodNotAllowed:
		return s.refuse(x.miss, codeMethodNotAllowed, "Method not allowed", "The method is not allowed here.", nil)
	case http.StatusRequestEntityTooLarge:
		return s.refuse(x.miss, codeBodyTooLarge, "Request body too large", "The request body is too large.", nil)
	}
	return s.refuse(http.StatusNotFound, codeNotFound, "not found", "No such resource was found.", nil)
}

// view is what a read sees, which may be behind.
func (s *Sim) view(now time.Time, f Fault, dice *rand.Rand) view {
	lag := s.cfg.Switches.Lag
	if s.cfg.Switches.LagVaries && lag > 0 {
		lag = time.Duration(dice.Int64N(int64(lag) + 1))
	}
	lag = max(lag, f.Lag)
	return view{at: now.Add(-lag).UnixMilli(), current: lag == 0}
}

// authorize returns nil if the request may come in.
func (s *Sim) authorize(header string) *answer {
	key, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return s.refuse(http.StatusUnauthorized, codeHeaderInvalid, "Invalid Authorization header format",
			"Invalid Authorization header format. Must be 'Bearer <YOUR_API_KEY>'", nil)
	}
	want, got := sha256.Sum256([]byte(s.cfg.SecretKey)), sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return s.keyInvalid()
	}
	return nil
}

// Clerk's versions, and how a request names one
// (https://clerk.com/docs/guides/development/upgrading/versioning, 2026-11).
const (
	versionHeader = "Clerk-API-Version"
	versionQuery  = "__clerk_api_version"
)

var versions = []string{"2021-02-05", "2024-10-01", "2025-04-10", "2025-11-10", "2026-05-12"}

// checkVersion returns nil if the request names no version, or one that exists.
func (s *Sim) checkVersion(r *http.Request) *answer {
	for _, v := range append(r.Header.Values(versionHeader), r.URL.Query()[versionQuery]...) {
		if !slices.Contains(versions, v) {
			return s.refuse(http.StatusBadRequest, codeVersionInvalid, "invalid API version", "Invalid Clerk API version: there is no such version.", nil)
		}
	}
	return nil
}

func (s *Sim) keyInvalid() *answer {
	return s.refuse(http.StatusUnauthorized, codeKeyInvalid, "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.",
		"The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.", nil)
}

func (s *Sim) throttled(wait time.Duration, now time.Time) *answer {
	a := s.refuse(http.StatusTooManyRequests, codeTooManyRequests, "Too many requests. Please try again in a bit.",
		"Too many requests. Please try again in a bit.", nil)
	// Both forms have whole seconds: rounded down, they would be too early.
	switch up := time.Second - 1; s.cfg.Switches.RetryAfter {
	case RetryAfterNone:
	case RetryAfterDate:
		at := now.Add(s.cfg.ClockOffset + wait + up).Truncate(time.Second)
		a.header = http.Header{"Retry-After": {at.UTC().Format(http.TimeFormat)}}
	default:
		a.header = http.Header{"Retry-After": {strconv.Itoa(int((wait + up) / time.Second))}}
	}
	return a
}

func defaultAgent(agent string) bool {
	return agent == "" || strings.HasPrefix(agent, "Go-http-client/")
}
