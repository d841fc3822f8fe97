package clerksim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

const oneInvitation = `{"email_address":"a@example.com"}`

// everywhere runs f on the in-process network and on a real socket.
func everywhere(t *testing.T, cfg clerksim.Config, f func(t *testing.T, sim *clerksim.Sim, c *client)) {
	t.Run("pipe", func(t *testing.T) { inBubble(t, cfg, f) })
	t.Run("tcp", func(t *testing.T) { overTCP(t, cfg, f) })
}

// TestDrops breaks the connection and looks at what became of the request.
func TestDrops(t *testing.T) {
	tests := []struct {
		name    string
		fault   clerksim.Fault
		commits bool
	}{
		{"before", clerksim.Fault{Kind: clerksim.DropBefore}, false},
		{"after", clerksim.Fault{Kind: clerksim.DropAfter}, true},
		{"before, reset", clerksim.Fault{Kind: clerksim.DropBefore, Reset: true}, false},
		{"after, reset", clerksim.Fault{Kind: clerksim.DropAfter, Reset: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			everywhere(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				c.list("") // the next request uses a connection that has proven itself
				sim.Inject(clerksim.OpCreate, tt.fault, 1)
				_, err := c.try("POST", "/invitations", oneInvitation)
				reset := errors.Is(err, syscall.ECONNRESET) && tt.fault.Reset
				if !errors.Is(err, io.EOF) && !reset {
					t.Errorf("error %v, want EOF", err)
				}
				want := map[bool]int{true: 1}[tt.commits]
				if got := sim.Mails("a@example.com"); got != want {
					t.Errorf("%d mails, want %d", got, want)
				}
				call := sim.Calls()[1]
				if call.Status != 0 || call.Committed != tt.commits || !call.Admitted || call.Fault != tt.fault {
					t.Errorf("recorded %+v", call)
				}
				if n := sim.Count(clerksim.OpCreate); n != 1 {
					t.Errorf("%d creates: the transport sent it again", n)
				}
				if got := len(c.list("")); got != want {
					t.Errorf("the list has %d, want %d", got, want)
				}
			})
		})
	}
}

// TestFaultAnswers injects every fault that answers, and looks at the answer
// and at the state.
func TestFaultAnswers(t *testing.T) {
	type want struct {
		status     int
		code       string // "not JSON" for other bodies
		body       string // part of it
		retryAfter string
		created    int
		counts     bool
	}
	tests := []struct {
		name  string
		fault clerksim.Fault
		want  want
	}{
		{"500 before", clerksim.Fault{Kind: clerksim.ErrorBefore}, want{500, "internal_clerk_error", "", "", 0, true}},
		{"500 after", clerksim.Fault{Kind: clerksim.ErrorAfter}, want{500, "internal_clerk_error", "", "", 1, true}},
		{"refused after", clerksim.Fault{Kind: clerksim.RefuseAfter}, want{422, "form_identifier_exists", "", "", 1, true}},
		{"duplicate after", clerksim.Fault{Kind: clerksim.RefuseAfter, Status: 400}, want{400, "duplicate_record", "", "", 1, true}},
		{"a code after", clerksim.Fault{Kind: clerksim.RefuseAfter, Status: 400, Code: "request_body_invalid"}, want{400, "request_body_invalid", "", "", 1, true}},
		{"503", clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 503, RetryAfter: "7"}, want{503, "service_unavailable", "", "7", 0, true}},
		{"504", clerksim.Fault{Kind: clerksim.ErrorAfter, Status: 504}, want{504, "gateway_timeout", "", "", 1, true}},
		{"409 conflict", clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 409, Code: "conflict"}, want{409, "conflict", "", "", 0, true}},
		{"proxy before", clerksim.Fault{Kind: clerksim.GatewayBefore}, want{502, "not JSON", "<html>", "", 0, false}},
		{"proxy after", clerksim.Fault{Kind: clerksim.GatewayAfter, Status: 504}, want{504, "not JSON", "504 Gateway Timeout", "", 1, true}},
		{"overload", clerksim.Fault{Kind: clerksim.Overload}, want{429, "not JSON", "Too Many Requests", "", 0, false}},
		{"throttle", clerksim.Fault{Kind: clerksim.Throttle}, want{429, "too_many_requests", "", "1", 0, true}},
		{"absurd", clerksim.Fault{Kind: clerksim.Throttle, RetryAfter: "999999999999999999999"}, want{429, "too_many_requests", "", "999999999999999999999", 0, true}},
		{"key", clerksim.Fault{Kind: clerksim.Unauthorized}, want{401, "clerk_key_invalid", "", "", 0, false}},
		{"edge", clerksim.Fault{Kind: clerksim.EdgeBlock}, want{403, "not JSON", "error code: 1010", "", 0, false}},
		{"locked", clerksim.Fault{Kind: clerksim.Locked}, want{409, "resource_locked", "", "", 0, true}},
		{"redirect", clerksim.Fault{Kind: clerksim.Redirect}, want{307, "not JSON", "", "", 0, true}},
		{"malformed", clerksim.Fault{Kind: clerksim.Malformed}, want{200, "not JSON", `{"object":`, "", 1, true}},
		{"empty", clerksim.Fault{Kind: clerksim.Empty}, want{200, "not JSON", "", "", 1, true}},
		{"partial bulk on a single", clerksim.Fault{Kind: clerksim.PartialBulk}, want{500, "internal_clerk_error", "", "", 0, true}},
		{"short on a single", clerksim.Fault{Kind: clerksim.Short}, want{200, "no error", "inv_", "", 1, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			everywhere(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				sim.Inject("", tt.fault, 1)
				r := c.create(oneInvitation)
				if r.status != tt.want.status || r.code(t) != tt.want.code || !strings.Contains(string(r.body), tt.want.body) {
					t.Errorf("got %d %s: %s", r.status, r.code(t), r.body)
				}
				if got := r.header.Get("Retry-After"); got != tt.want.retryAfter {
					t.Errorf("Retry-After %q, want %q", got, tt.want.retryAfter)
				}
				if got := len(sim.Invitations()); got != tt.want.created || sim.Mails("a@example.com") != tt.want.created {
					t.Errorf("%d invitations, want %d", got, tt.want.created)
				}
				if call := sim.Calls()[0]; call.Status != tt.want.status || call.Created != tt.want.created || call.Admitted != tt.want.counts {
					t.Errorf("recorded %+v", call)
				}
				if r := c.create(`{"email_address":"next@example.com"}`); r.status != 200 {
					t.Errorf("the fault struck again: %d", r.status)
				}
			})
		})
	}
}

func TestTruncate(t *testing.T) {
	everywhere(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.Truncate}, 1)
		r, err := c.try("POST", "/invitations", oneInvitation)
		if !errors.Is(err, io.ErrUnexpectedEOF) || r.status != 200 || json.Valid(r.body) {
			t.Errorf("got %d %q, %v", r.status, r.body, err)
		}
		if sim.Mails("a@example.com") != 1 || sim.Calls()[0].Status != 0 {
			t.Errorf("mails %d, recorded %+v", sim.Mails("a@example.com"), sim.Calls()[0])
		}
	})
}

func TestHuge(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.Huge}, 1)
		if r := c.create(oneInvitation); len(r.body) < 8<<20 || !bytes.HasPrefix(bytes.TrimSpace(r.body), []byte(`{"object":"invitation"`)) {
			t.Errorf("%d bytes", len(r.body))
		}
	})
}

func TestPartialAndShortBulk(t *testing.T) {
	everywhere(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.Inject(clerksim.OpBulkCreate, clerksim.Fault{Kind: clerksim.PartialBulk, Status: 503}, 1)
		r := c.bulk("a@example.com", "b@example.com", "c@example.com", "d@example.com")
		if r.status != 503 || len(sim.Invitations()) != 2 || sim.Mails("a@example.com") != 1 || sim.Mails("d@example.com") != 0 {
			t.Errorf("partial: %d, %d invitations", r.status, len(sim.Invitations()))
		}
		sim.Inject(clerksim.OpBulkCreate, clerksim.Fault{Kind: clerksim.Short}, 1)
		r = c.bulk("e@example.com", "f@example.com", "g@example.com")
		if got := decode[[]invitationJSON](t, r.body); len(got) != 2 || len(sim.Invitations()) != 5 {
			t.Errorf("short: answered %d, %d invitations", len(got), len(sim.Invitations()))
		}
		sim.Inject(clerksim.OpList, clerksim.Fault{Kind: clerksim.Short}, 1)
		page := decode[struct{ Data []invitationJSON }](t, c.do("GET", "/invitations?paginated=true", "").body)
		if len(page.Data) != 4 {
			t.Errorf("short list: %d of 5", len(page.Data))
		}
	})
}

// TestSlowAnswerCommitsAnyway has a client that gives up; Clerk does not.
func TestSlowAnswerCommitsAnyway(t *testing.T) {
	for name, fault := range map[string]clerksim.Fault{"before": {Delay: 15 * time.Second}, "after": {Hold: 15 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				sim.Inject(clerksim.OpCreate, fault, 1)
				c.http.Timeout = 10 * time.Second
				start := time.Now()
				_, err := c.try("POST", "/invitations", oneInvitation)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if got := sim.Mails("a@example.com"); got == 1 != (fault.Hold > 0) {
					t.Errorf("%d mails when the client gave up", got)
				}
				later(6 * time.Second)
				if got := sim.Mails("a@example.com"); got != 1 {
					t.Errorf("%d mails in the end, want 1", got)
				}
				if call := sim.Calls()[0]; !call.Arrived.Equal(start) || call.Time.Sub(start) != fault.Delay {
					t.Errorf("arrived %v, committed %v after it was sent, want 0 and %v", call.Arrived.Sub(start), call.Time.Sub(start), fault.Delay)
				}
			})
		})
	}
}

func TestLaggingRead(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.invite("a@example.com")
		sim.Inject(clerksim.OpList, clerksim.Fault{Lag: time.Minute}, 1)
		if got := len(c.list("")); got != 0 {
			t.Errorf("a lagging read found %d", got)
		}
		if got := len(c.list("")); got != 1 {
			t.Errorf("the next read found %d", got)
		}
	})
}

func TestOutage(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.Outage(90*time.Minute, clerksim.Fault{})
		for range 89 {
			if r := c.create(oneInvitation); r.status != 429 || r.header.Get("Retry-After") != "" || json.Valid(r.body) {
				t.Fatalf("during: %d %s", r.status, r.body)
			}
			later(time.Minute)
		}
		later(time.Minute)
		c.invite("a@example.com")
		if admitted, judged := sim.Peak(clerksim.Single, time.Hour); admitted != 1 || judged != 1 || sim.Count429(clerksim.Single) != 0 {
			t.Errorf("an outage was counted against the limits: %d, %d", admitted, judged)
		}
		sim.Outage(time.Minute, clerksim.Fault{Kind: clerksim.DropBefore})
		if _, err := c.try("POST", "/invitations", `{"email_address":"b@example.com"}`); err == nil {
			t.Error("an outage of another kind: no error")
		}
	})
}

// TestFaultOrder gives every source of faults something to say.
func TestFaultOrder(t *testing.T) {
	status := func(n int) clerksim.Fault { return clerksim.Fault{Kind: clerksim.ErrorBefore, Status: n} }
	hook := true
	cfg := clerksim.Config{
		Rules: []clerksim.Rule{{Op: clerksim.OpList, Fault: status(501)}},
		Fault: func(req clerksim.Request) clerksim.Fault {
			if hook && req.Op == clerksim.OpList && req.RawQuery == "limit=3" && req.Header.Get("User-Agent") != "" {
				return status(502)
			}
			return clerksim.Fault{}
		},
	}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		expect := func(want int) {
			t.Helper()
			if got := c.do("GET", "/invitations?limit=3", "").status; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		sim.Inject(clerksim.OpCreate, status(505), 1)
		sim.Inject("", status(503), 2)
		sim.Inject(clerksim.OpList, status(504), 1)
		sim.Inject(clerksim.OpList, status(504), 0)
		sim.Outage(time.Minute, status(500))
		expect(500)
		later(time.Minute)
		expect(502)
		hook = false
		expect(503)
		expect(503)
		expect(504)
		expect(501)
		if r := c.create(oneInvitation); r.status != 505 {
			t.Errorf("what was injected for creates: %d", r.status)
		}
	})
}

// TestRules strikes by share, by number and by time.
func TestRules(t *testing.T) {
	rules, err := clerksim.ParseFaults("list/error-before=503:25%", "users/error-before=500:x3", "users_count/error-before=500:1m..2m")
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T) (list []bool) {
		inBubble(t, clerksim.Config{Rules: rules, Seed: 7}, func(t *testing.T, sim *clerksim.Sim, c *client) {
			for range 400 {
				list = append(list, c.do("GET", "/invitations", "").status != 200)
			}
			for range 10 {
				c.do("GET", "/users", "")
			}
			if got := sim.CountStatus(clerksim.OpUsers, 500); got != 3 {
				t.Errorf("x3 struck %d times", got)
			}
			for range 6 {
				c.do("GET", "/users/count", "")
				later(20 * time.Second)
			}
			if got := sim.CountStatus(clerksim.OpUsersCount, 500); got != 3 {
				t.Errorf("1m..2m struck %d times", got)
			}
		})
		return list
	}
	first, second := run(t), run(t)
	struck := 0
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("request %d differs between two runs with one seed", i)
		}
		if first[i] {
			struck++
		}
	}
	if struck < 70 || struck > 130 {
		t.Errorf("25%% of 400 struck %d times", struck)
	}
}

// TestHookSeesBatch is how a test aims at one invitation.
func TestHookSeesBatch(t *testing.T) {
	var seen atomic.Pointer[clerksim.Request]
	cfg := clerksim.Config{Fault: func(r clerksim.Request) clerksim.Fault {
		seen.Store(&r)
		return clerksim.Fault{}
	}}
	inBubble(t, cfg, func(t *testing.T, _ *clerksim.Sim, c *client) {
		c.bulk("B@example.com", "a@example.com")
		if r := seen.Load(); r.Op != clerksim.OpBulkCreate || strings.Join(r.Addresses, " ") != "b@example.com a@example.com" {
			t.Errorf("saw %+v", r)
		}
		c.do("POST", "/invitations/inv_7/revoke", "")
		if r := seen.Load(); r.Op != clerksim.OpRevoke || r.InvitationID != "inv_7" {
			t.Errorf("saw %+v", r)
		}
	})
}

func TestEdgeAgent(t *testing.T) {
	inBubble(t, clerksim.Config{Switches: clerksim.Switches{EdgeAgent: true}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.invite("a@example.com")
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, clerksim.PipeURL+"/invitations", nil)
		req.Header.Set("Authorization", "Bearer "+clerksim.DefaultSecretKey)
		resp, err := (&http.Client{Transport: sim.Transport()}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("the library's own agent: %d", resp.StatusCode)
		}
	})
}

func TestUnreachable(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.SetReachable(false)
		if _, err := c.try("GET", "/invitations", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want connection refused", err)
		}
		sim.SetReachable(true)
		c.list("")
		c.http.CloseIdleConnections()
		sim.Close()
		if _, err := c.try("GET", "/invitations", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after Close: %v, want connection refused", err)
		}
	})
}

// TestCloseInFlight closes under a request that waits: it is dropped without
// taking effect, and no goroutine stays in the bubble.
func TestCloseInFlight(t *testing.T) {
	inBubble(t, clerksim.Config{Latency: clerksim.Latency{Median: time.Hour}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := c.try("POST", "/invitations", oneInvitation); err == nil {
					t.Error("an answer from a closed simulator")
				}
			})
		}
		later(time.Second)
		sim.Close()
		wg.Wait()
		if got := len(sim.Invitations()); got != 0 {
			t.Errorf("%d invitations", got)
		}
	})
}
