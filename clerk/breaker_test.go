package clerk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ward is a simulated Clerk whose health a test sets.
type ward struct {
	mu     sync.Mutex
	answer string        // of HTTP, whole
	delay  time.Duration // before it
	seen   []string      // method and second of each request
	began  time.Time
}

func (w *ward) set(answer string, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer, w.delay = answer, delay
}

func (w *ward) serve(_ int, c net.Conn, r *http.Request) bool {
	w.mu.Lock()
	w.seen = append(w.seen, fmt.Sprintf("%s %.0f", r.Method, time.Since(w.began).Seconds()))
	answer, delay := w.answer, w.delay
	w.mu.Unlock()
	<-time.After(delay)
	if answer == wellAnswer {
		if r.Method == http.MethodGet {
			return reply(c, `{"data":[],"total_count":0}`)
		}
		return reply(c, okCreate)
	}
	_, _ = io.WriteString(c, answer)
	return false
}

func (w *ward) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

const (
	wellAnswer    = "well"
	droppedAnswer = ""
)

var (
	overloadAnswer = httpAnswer("429 Too Many Requests", "busy")
	quotaAnswer    = httpAnswer("429 Too Many Requests\r\nRetry-After: 60", `{"errors":[{"code":"too_many_requests"}]}`)
	invalidAnswer  = httpAnswer("422 Unprocessable Entity", `{"errors":[{"code":"form_param_missing"}]}`)
	edgeAnswer     = httpAnswer("403 Forbidden", "error code: 1010")
	keyAnswer      = httpAnswer("401 Unauthorized", `{"errors":[{"code":"clerk_key_invalid"}]}`)
	downAnswer     = httpAnswer("503 Service Unavailable", "")
)

func httpAnswer(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func (w *ward) client(t *testing.T, edit ...func(*Config)) *Client {
	w.began = time.Now()
	p := &peer{serve: w.serve}
	c := clientOf(t, "http://127.0.0.1/v1", append([]func(*Config){func(cfg *Config) { cfg.DialContext = p.dial }}, edit...)...)
	return c
}

func TestWhatCounts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer string
		delay  time.Duration
		opens  bool
	}{
		{"success", wellAnswer, 0, false},
		{"slow success", wellAnswer, 5 * time.Second, true},
		{"not quite slow success", wellAnswer, 5*time.Second - 1, false},
		{"overload", overloadAnswer, 0, true},
		{"quota", quotaAnswer, 0, false},
		{"422", invalidAnswer, 0, false},
		{"401", keyAnswer, 0, false},
		{"edge", edgeAnswer, 0, false},
		{"503", downAnswer, 0, true},
		{"dropped", droppedAnswer, 0, true},
		{"silence", wellAnswer, time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &ward{answer: tc.answer, delay: tc.delay}
				c := w.client(t)
				for i := range 5 {
					if ok, _ := c.Ready(); !ok {
						t.Fatalf("open after %d calls", i)
					}
					if i%2 == 0 {
						_, _ = c.Create(t.Context(), ada)
					} else {
						_, _ = c.List(t.Context(), ListOptions{})
					}
				}
				if ok, _ := c.Ready(); ok == tc.opens {
					t.Errorf("after five calls in a row, closed is %v", ok)
				}
				c.Close()
				<-time.After(2 * time.Minute) // until the peers are done
			})
		})
	}
}

func TestConnectionsThatFailCount(t *testing.T) {
	c := clientOf(t, "http://127.0.0.1/v1", func(cfg *Config) {
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}
	})
	for range 5 {
		_, _ = c.Create(t.Context(), ada)
	}
	if c.State() != Open {
		t.Errorf("state %v, want %v", c.State(), Open)
	}
}

func TestWhatCallersEndDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{answer: wellAnswer, delay: time.Minute}
		c := w.client(t)
		for i := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			if i%2 == 0 {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second) // a hurry that is not fair
			}
			time.AfterFunc(2*time.Second, cancel)
			_, _ = c.Create(ctx, ada)
		}
		if c.State() != Closed {
			t.Error("open though only callers gave up")
		}
		for range 5 { // a caller that waited long enough is a witness
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
			_, _ = c.Create(ctx, ada)
			cancel()
		}
		if c.State() != Open {
			t.Error("closed though five calls took longer than the limit for slow ones")
		}
		<-time.After(2 * time.Minute)
	})
}

func TestShareOfFailuresOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{answer: wellAnswer}
		c := w.client(t)
		call := func(answer string) {
			w.set(answer, 0)
			_, _ = c.List(t.Context(), ListOptions{})
		}
		for i := range 9 { // never two failures in a row
			call([]string{wellAnswer, downAnswer}[i%2])
		}
		if c.State() != Closed {
			t.Fatal("open before ten calls")
		}
		<-time.After(3 * time.Minute) // the window forgets
		call(downAnswer)
		if c.State() != Closed {
			t.Fatal("open by failures that are older than the window")
		}
		for i := range 10 {
			call([]string{wellAnswer, downAnswer}[i%2])
		}
		if c.State() != Open {
			t.Error("closed though half of ten calls failed")
		}
		c.Close()
	})
}

// TestFailuresInARowOutliveTheWindow: at Clerk's limits calls are half a minute
// apart, so five failures in a row do not fit into the window.
func TestFailuresInARowOutliveTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := (&ward{answer: downAnswer}).client(t)
		for range 5 {
			<-time.After(5 * time.Minute)
			_, _ = c.Create(t.Context(), ada)
		}
		if c.State() != Open {
			t.Error("closed after five failures in a row")
		}
	})
}

// TestOutage is Clerk's outage of 2026-02-19: 90 minutes of plain-text 429.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const outage = 90 * time.Minute
		w := &ward{answer: overloadAnswer}
		var changes []string
		c := w.client(t, func(cfg *Config) {
			cfg.Breaker.OnChange = func(ch Change) {
				changes = append(changes, fmt.Sprintf("%v>%v", ch.From, ch.To))
				if ch.To == Open && (ch.Last == nil || ch.Last.Kind != KindOverload) {
					t.Errorf("opened by %v", ch.Last)
				}
			}
		})
		time.AfterFunc(outage, func() { w.set(wellAnswer, 0) })
		began := time.Now()
		refused := 0
		for {
			ok, retryAt := c.Ready()
			if ok {
				if _, err := c.Create(t.Context(), ada); err == nil {
					break
				}
				continue
			}
			// Calls are refused without a request, and say until when.
			_, err := c.Create(t.Context(), ada)
			e, isError := errors.AsType[*Error](err)
			if !isError || e.Kind != KindNotSent || e.Cause != CauseBreaker || !e.RetryAt.Equal(retryAt) || !e.HasRetryAfter || e.RetryAfter != time.Until(retryAt) {
				t.Fatalf("while open: %#v", err)
			}
			refused++
			if time.Now().Before(retryAt) {
				if err := c.Probe(t.Context()); !errors.Is(err, KindNotSent) {
					t.Fatalf("a probe before its time: %v", err)
				}
			}
			<-time.After(time.Until(retryAt))
			_ = c.Probe(t.Context())
		}
		c.Close()

		requests := w.requests()
		head := []string{"POST 0", "POST 0", "POST 0", "POST 0", "POST 0", "GET 15", "GET 45", "GET 105", "GET 225", "GET 345"}
		if diff := cmp.Diff(head, requests[:len(head)]); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		// 47 probes that fail, one that succeeds, and the call that was waiting.
		if len(requests) != 5+47+1+1 {
			t.Errorf("%d requests, want %d", len(requests), 5+47+1+1)
		}
		if late := time.Since(began) - outage; late > 2*time.Minute {
			t.Errorf("found out %v after the end", late)
		}
		if refused != 48 {
			t.Errorf("%d calls refused, want 48", refused)
		}
		wantChanges := []string{"closed>open"}
		for range 47 {
			wantChanges = append(wantChanges, "open>half_open", "half_open>open")
		}
		wantChanges = append(wantChanges, "open>half_open", "half_open>closed")
		if diff := cmp.Diff(wantChanges, changes); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}

// open makes a client's breaker open.
func open(t *testing.T, w *ward, c *Client) {
	t.Helper()
	w.set(downAnswer, 0)
	for range 5 {
		_, _ = c.List(t.Context(), ListOptions{})
	}
	if c.State() != Open {
		t.Fatal("not open")
	}
}

func TestWaitGrowsWhenItReopensSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		c := w.client(t)
		wait := func() time.Duration { _, at := c.Ready(); return time.Until(at) }
		mend := func() {
			<-time.After(wait())
			w.set(wellAnswer, 0)
			if err := c.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"15s", "30s", "1m0s", "2m0s", "2m0s"} { // reads succeed, writes do not
			open(t, w, c)
			if wait().String() != want {
				t.Errorf("waits %v, want %s", wait(), want)
			}
			mend()
		}
		<-time.After(2 * time.Minute)
		open(t, w, c)
		if wait() != 15*time.Second {
			t.Errorf("after a quiet time it waits %v, want 15s", wait())
		}
		c.Close()
	})
}

func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		c := w.client(t)
		open(t, w, c)
		before := len(w.requests())
		w.set(wellAnswer, time.Second)
		_, at := c.Ready()
		<-time.After(time.Until(at))
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed := 0
		for range 10 {
			wg.Go(func() {
				if c.Probe(t.Context()) == nil {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		if ok, at := c.Ready(); ok || !at.After(time.Now()) || c.State() != HalfOpen {
			t.Errorf("while a probe is under way: ready %v, retry in %v, state %v", ok, time.Until(at), c.State())
		}
		wg.Wait()
		if n := len(w.requests()) - before; n != 1 || passed != 1 || c.State() != Closed {
			t.Errorf("%d requests, %d passed, state %v; want one probe", n, passed, c.State())
		}
		c.Close()
	})
}

// TestWhatAProbeSays has every kind of result of the half-open state.
func TestWhatAProbeSays(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer string
		state  State
		wait   time.Duration
	}{
		{"well", wellAnswer, Closed, 0},
		{"down", downAnswer, Open, 30 * time.Second},
		{"overload", overloadAnswer, Open, 30 * time.Second},
		{"our quota for reads", quotaAnswer, HalfOpen, time.Minute},
		{"edge", edgeAnswer, HalfOpen, 15 * time.Second},
		{"the key is wrong, but Clerk is there to say so", keyAnswer, Closed, 0},
		{"canceled", "", HalfOpen, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &ward{}
				c := w.client(t)
				open(t, w, c)
				_, at := c.Ready()
				<-time.After(time.Until(at))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w.set(tc.answer, 0)
				if tc.name == "canceled" {
					w.set(wellAnswer, time.Minute)
					time.AfterFunc(time.Second, cancel)
				}
				_ = c.Probe(ctx)
				ok, at := c.Ready()
				if c.State() != tc.state || ok != (tc.state == Closed) {
					t.Errorf("state %v, ready %v; want %v", c.State(), ok, tc.state)
				}
				if wait := max(time.Until(at), 0); wait != tc.wait {
					t.Errorf("waits %v, want %v", wait, tc.wait)
				}
				// Whatever it said, calls stay out until a probe has said yes, and one that does is let in.
				if !ok {
					if _, err := c.Create(t.Context(), ada); !errors.Is(err, KindNotSent) {
						t.Errorf("a call: %v", err)
					}
					<-time.After(time.Until(at))
					w.set(wellAnswer, 0)
					if err := c.Probe(t.Context()); err != nil || c.State() != Closed {
						t.Errorf("the next probe: %v, state %v", err, c.State())
					}
				}
				c.Close()
				<-time.After(2 * time.Minute)
			})
		})
	}
}

// TestLateResultsAreVoid: calls that were under way when it opened must not decide
// anything after it closed again.
func TestLateResultsAreVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{answer: downAnswer, delay: 20 * time.Second}
		c := w.client(t, func(cfg *Config) { cfg.Timeout = time.Minute })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { _, _ = c.List(t.Context(), ListOptions{}) })
		}
		synctest.Wait()
		open(t, w, c)
		<-time.After(breakerOpen)
		w.set(wellAnswer, 0)
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait() // eight failures arrive
		if c.State() != Closed {
			t.Error("opened by calls from before")
		}
		c.Close()
	})
}

// TestOnChangeMayUseTheClient would deadlock if a lock were held.
func TestOnChangeMayUseTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		var c *Client
		var seen []string
		c = w.client(t, func(cfg *Config) {
			cfg.Breaker.OnChange = func(ch Change) {
				ok, at := c.Ready()
				_, err := c.List(t.Context(), ListOptions{})
				seen = append(seen, fmt.Sprintf("%v>%v %v %v %v %v", ch.From, ch.To, ok, at.Equal(ch.RetryAt), err == nil, c.State()))
				if ch.To == Open {
					_ = c.Probe(t.Context()) // refused
				}
			}
		})
		open(t, w, c)
		_, at := c.Ready()
		<-time.After(time.Until(at))
		w.set(wellAnswer, 0)
		_ = c.Probe(t.Context())
		want := []string{
			"closed>open false true false open",
			"open>half_open false true false half_open",
			"half_open>closed true true true closed",
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		c.Close()
	})
}

func TestBreakerDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{answer: downAnswer}
		c := w.client(t, func(cfg *Config) { cfg.Breaker.Disabled = true })
		for range 30 {
			_, _ = c.Create(t.Context(), ada)
		}
		if n := len(w.requests()); n != 30 || c.State() != Closed {
			t.Errorf("%d requests, state %v", n, c.State())
		}
	})
}

func TestStateWords(t *testing.T) {
	if got := fmt.Sprint(Closed, HalfOpen, Open, State(3)); got != "closed half_open open state_3" {
		t.Error(got)
	}
}
