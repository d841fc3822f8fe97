package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// hold opens a request whose body does not come, and waits until the API wants it,
// unless it may be that it does not want it yet.
func (s *stage) hold(path, contentType string, wanted bool) {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", path, s.token, contentType)
	if !wanted {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		s.t.Fatalf("got %q, %v", line, err)
	}
}

// wantsWork makes one request of each kind, and none may wait long.
func (s *stage) wantsWork(who string) {
	s.t.Helper()
	started := time.Now()
	for _, r := range []reply{
		s.get("/v1/invitations"), s.get("/v1/invitations?order_by=email_address"),
		s.post("/v1/invitations", `{"email_address":"`+who+`@example.com"}`),
		s.post("/v1/invitations/bulk", `[{"email_address":"`+who+`2@example.com"}]`),
		s.do("POST", "/v1/imports", csv, "email\n"+who+"3@example.com\n"),
		s.get("/healthz"),
	} {
		if r.status != 200 {
			s.t.Errorf("%s: %d %s", who, r.status, r.body)
		}
	}
	if took := time.Since(started); took > 3*time.Second {
		s.t.Errorf("%s waits %s", who, took)
	}
}

// TestSlowBodies of one token keep no other from its work, and not itself from what
// has no such body.
func TestSlowBodies(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.ReadTimeout = 8 * time.Second })
	slow, other := s.token, s.newToken("other")
	for range 256 {
		s.hold("/v1/invitations", "application/json", true)
	}
	s.wantsWork("slow")
	for n := range 20 {
		s.hold("/v1/invitations/bulk", "application/json", n < 4)
		s.hold("/v1/imports", csv, n < 2)
	}
	s.token = other
	s.wantsWork("other")
	s.token = slow
	if r := s.post("/v1/invitations", `{"email_address":"slow4@example.com"}`); r.status != 200 {
		t.Errorf("itself: %d %s", r.status, r.body)
	}
	if r := s.do("POST", "/v1/imports", csv, "email\nslow5@example.com\n"); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("one more of its lists: %d %s", r.status, r.body)
	}
}

// TestListsOnTheDisk are bounded by what they take there, and not by their number.
func TestListsOnTheDisk(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.MaxImport = 32 << 10 })
	for range 3 { // With what is gone nothing is left of the bound.
		if r := s.do("POST", "/v1/imports?dry_run=true", csv, "email\n"+strings.Repeat("p@example.com\n", 2000)); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	var held []net.Conn
	for n := range 5 {
		s.token = s.newToken(fmt.Sprintf("t%d", n))
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\nContent-Length: 30000\r\n\r\n%s", s.token, strings.Repeat("x", 29_999))
		held = append(held, c)
	}
	refused := make(chan string, len(held))
	for _, c := range held {
		go func() {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			line, _ := bufio.NewReader(c).ReadString('\n')
			refused <- line
		}()
	}
	if line := <-refused; !strings.Contains(line, " 503 ") {
		t.Errorf("the fifth list of nearly the largest size: got %q", line)
	}
}

// countingHook counts the commands that ask for tokens.
type countingHook struct{ asked *atomic.Int64 }

func (countingHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (countingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h countingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasSuffix(fmt.Sprint(append(cmd.Args(), "")[1]), ":tokens") {
			h.asked.Add(1)
		}
		return next(ctx, cmd)
	}
}

// TestGuessesCostNothing: Redis is asked about the first ten of an address, and
// about all others together once a second; the right token works all the while, also
// one that is new.
func TestGuessesCostNothing(t *testing.T) {
	var asked atomic.Int64
	s := newStage(t, func(c *api.Config) {
		rdb := redis.NewClient(c.Ledger.Redis().(*redis.Client).Options())
		rdb.AddHook(countingHook{&asked})
		t.Cleanup(func() { rdb.Close() })
		var err error
		if c.Ledger, err = ledger.Open(t.Context(), rdb, c.Ledger.Config()); err != nil {
			t.Fatal(err)
		}
		if c.Client, err = enqueue.New(enqueue.Config{Redis: rdb, Instance: c.Ledger.Instance()}); err != nil {
			t.Fatal(err)
		}
	})
	s.get("/v1/invitations")
	wrong := func(n int) string { // Of the right shape.
		return "Bearer " + s.token[:len("sk_test_inq")] + fmt.Sprintf("%016d", n) + strings.Repeat("0", 52)
	}
	secret := "Bearer " + s.token[:len("sk_test_inq")+16] + strings.Repeat("0", 52) // A good id, and a wrong secret.
	shape := "Bearer " + s.token + "0"
	asked.Store(0)
	started := time.Now()
	for n := range 600 {
		for _, token := range []string{wrong(n), secret, shape}[n%3 : n%3+1] {
			if r := s.do("GET", "/v1/invitations", "", "", "Authorization", token); r.status != 401 && r.status != 429 {
				t.Fatalf("guess %d: %d %s", n, r.status, r.body)
			}
		}
	}
	most := 10 + 2 + int64(time.Since(started)/time.Second)
	if n := asked.Load(); n > most {
		t.Errorf("600 guesses cost %d questions to Redis, want at most %d", n, most)
	}
	if r := s.get("/v1/invitations"); r.status != 200 {
		t.Errorf("the right token: %d", r.status)
	}
	s.token = s.newToken("new")
	eventually(t, "a new token works", func() bool { return s.get("/v1/invitations").status == 200 })
}

// TestBadBulk has an answer of bounded size, soon, however much is wrong.
func TestBadBulk(t *testing.T) {
	s := newStage(t)
	defer s.wrong()()
	var member strings.Builder
	member.WriteString(`{"email_address":"canary"`)
	for n := range 100 {
		fmt.Fprintf(&member, `,"unknown_%d":1`, n)
	}
	member.WriteString("}")
	started := time.Now()
	r := s.post("/v1/invitations/bulk", "["+strings.TrimSuffix(strings.Repeat(member.String()+",", 1000), ",")+"]")
	all := r.errors(t)
	last := all[len(all)-1]
	if r.status != 422 || len(all) != 101 || last.Code != "more_errors" || last.Meta["invalid"] != 1000.0 || len(r.body) > 40_000 || strings.Contains(r.body, "canary") {
		t.Errorf("%d with %d errors in %d bytes, the last %+v", r.status, len(all), len(r.body), last)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestManyAtATime: what is too much waits for its turn and is not refused, and a
// token with one request does not wait behind the many of another.
func TestManyAtATime(t *testing.T) {
	s := newStage(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 300}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var many sync.WaitGroup
	var good, bad atomic.Int64
	end, token := make(chan struct{}), s.token
	for n := range 300 {
		many.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				body, _ := json.Marshal(map[string]string{"email_address": fmt.Sprintf("p%d-%d@example.com", n, i)})
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/invitations", strings.NewReader(string(body)))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Content-Type", "application/json")
				res, err := client.Do(r)
				if err != nil || res.StatusCode != http.StatusOK {
					bad.Add(1)
				} else {
					good.Add(1)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}
		})
	}
	eventually(t, "the many have begun", func() bool { return good.Load() > 600 })
	s.token = s.newToken("other")
	var worst time.Duration
	for range 10 {
		started := time.Now()
		if r := s.get("/v1/invitations"); r.status != 200 {
			t.Errorf("another token: %d %s", r.status, r.body)
		}
		worst = max(worst, time.Since(started))
	}
	close(end)
	many.Wait()
	if bad.Load() > 0 || worst > 15*time.Second {
		t.Errorf("%d good, %d bad, and another token waited %s at worst", good.Load(), bad.Load(), worst)
	}
	t.Logf("%d good; another token waited %s at worst", good.Load(), worst)
}

// TestEncodedAddresses: an address that is encoded once more is an id, perhaps, and
// is not audited as it is.
func TestEncodedAddresses(t *testing.T) {
	s := newStage(t)
	defer s.wrong()()
	for _, path := range []string{
		"/v1/invites/canary%40example.com", "/v1/invites/canary%2540example.com", "/v1/invites/canary%252540example.com", "/v1/imports/canary%2540example.com",
		"/v1/invites/" + strings.Repeat("canary", 10_000)[:15_000],
	} {
		if r := s.get(path); r.status != 404 && r.status != 431 || strings.Contains(r.body, "canary") {
			t.Errorf("%.40s: %d %.200s", path, r.status, r.body)
		}
	}
	for _, id := range []string{"canary%2540example.com", "canary%252540example.com"} {
		if r := s.post("/v1/invitations/"+id+"/revoke", ""); strings.Contains(fmt.Sprint(r.header), "canary") {
			t.Errorf("%s: %v", id, r.header)
		}
	}
	for _, e := range s.audit() {
		if strings.Contains(fmt.Sprintf("%+v", e), "canary") {
			t.Errorf("audited %+v", e)
		}
	}
}
