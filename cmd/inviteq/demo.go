package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/cmd/inviteq/example"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker"
)

type demoCommand struct {
	Hour string `default:"1m" placeholder:"DURATION" help:"How long a simulated hour lasts, 5s at least."`
	jsonFlag
}

func (demoCommand) Help() string {
	return `Everything runs in this one process: an embedded Redis, a simulated Clerk with Clerk's published limits, a worker, and an import of 500 made-up people, among them users, people who are invited already, duplicates and bad addresses. Meanwhile eight people click "invite". Nobody is mailed, nothing is left behind, and no key is needed. It ends after a little more than a simulated hour.

Example:

  inviteq demo`
}

// Run plays the demo to its end.
func (c *demoCommand) Run(ctx context.Context, p *program) error {
	hour := setting(&p.complaints, "hour", c.Hour, parseHour)
	key, err := p.env.secret("CLERK_SECRET_KEY")
	p.complaints.add(err)
	p.complaints.add(refuseLive(key, "demo"))
	if err := p.complaints.usage(); err != nil {
		return err
	}
	s, err := newStage(ctx, hour)
	if err != nil {
		return err
	}
	defer s.close()
	if s.engine, ctx, err = startEngine(ctx, s.worker); err != nil {
		return err
	}
	var played demoShow
	if played, err = s.play(ctx, p); err != nil {
		return err
	}
	r := s.result(played)
	if c.JSON {
		err = p.printJSON(r)
	} else {
		err = r.print(p)
		p.console.note("\nTo send a list of your own, to real people: CLERK_SECRET_KEY_FILE=clerk.key inviteq send team.csv")
	}
	if err == nil && (r.TooManyRequests > 0 || r.MostMails > 1 || r.Open > 0) {
		err = errors.New("the demo did not keep a promise; please report the table above")
	}
	return err
}

func parseHour(s string) (time.Duration, error) {
	d, err := span(s)
	if err == nil && d < 5*time.Second {
		err = errors.New("must be 5s at least")
	}
	return d, err
}

// stage is everything that the demo runs in its process.
type stage struct {
	hour   time.Duration
	redis  *miniredis.Miniredis
	sim    *clerksim.Sim
	clerk  *clerk.Client
	conn   *connection
	worker worker.Config
	engine *engine
}

// newStage sets it up: Clerk's limits, with the simulated hour for an hour, in
// the simulator as in the worker.
func newStage(ctx context.Context, hour time.Duration) (_ *stage, err error) {
	s := &stage{hour: hour}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.redis, err = miniredis.Run(); err != nil {
		return nil, fmt.Errorf("the embedded Redis cannot start: %w", err)
	}
	published := ledger.ClerkLimits
	s.sim, err = clerksim.New(clerksim.Config{
		Limits: clerksim.Limits{
			Single: clerksim.Limit{N: published.Single.Calls, Window: hour},
			Bulk:   clerksim.Limit{N: published.Bulk.Calls, Window: hour},
		},
		Latency: clerksim.Latency{Median: 60 * time.Millisecond, P999: 600 * time.Millisecond},
	})
	if err != nil {
		return nil, err
	}
	if err := s.populate(); err != nil {
		return nil, err
	}
	secret, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		return nil, err
	}
	s.clerk, err = clerk.New(clerk.Config{SecretKey: secret, BaseURL: clerksim.PipeURL, DialContext: s.sim.DialContext})
	if err != nil {
		return nil, err
	}
	cfg := ledger.Config{
		Instance: "demo", Reserve: ledger.AutoReserve,
		Limits: ledger.Limits{
			Single: ledger.Limit{Calls: published.Single.Calls, Window: hour},
			Bulk:   ledger.Limit{Calls: published.Bulk.Calls, Window: hour},
			Other:  published.Other,
		},
	}
	opts := &redis.UniversalOptions{
		Addrs:                    []string{s.redis.Addr()},
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if s.conn, err = open(ctx, opts, cfg); err != nil {
		return nil, err
	}
	s.worker = worker.Config{Redis: opts, Ledger: cfg, Clerk: s.clerk, Log: zerolog.Nop()}
	return s, nil
}

// populate gives the simulated Clerk the users and invitations that it would
// have had before.
func (s *stage) populate() error {
	users, err := example.Users()
	if err != nil {
		return err
	}
	for _, address := range users {
		s.sim.AddUser(address)
	}
	invited, err := example.Invited()
	if err != nil {
		return err
	}
	for _, address := range invited {
		if _, err := s.sim.CreateForeign(address); err != nil {
			return err
		}
	}
	return nil
}

// close ends what runs, from the worker to Redis.
func (s *stage) close() {
	if s.engine != nil {
		_ = s.engine.halt() // play has asked
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if s.clerk != nil {
		s.clerk.Close()
	}
	if s.sim != nil {
		s.sim.Close()
	}
	if s.redis != nil {
		s.redis.Close()
	}
}

const (
	demoImport = "imp_demo"
	visitors   = 8 // how many people are invited by a click
)

// demoShow is what happens on the stage.
type demoShow struct {
	began  time.Time
	rows   int
	faults map[string]int // rows that are left out, by reason
	clicks []click
	list   enqueue.Import

	reasons map[tasks.Reason]int // why rows were not delivered, at the end
}

// click is an interactive invite.
type click struct {
	id   string
	at   time.Time
	took time.Duration // until Clerk had it; 0 as long as it waits
}

// play imports the list and clicks now and then, until every invite is settled.
func (s *stage) play(ctx context.Context, p *program) (demoShow, error) {
	// The invitations that Clerk has already must be older than clocks may differ;
	// otherwise the worker takes one for the answer to its own call.
	select {
	case <-time.After(2 * ledger.MaxSkew):
	case <-ctx.Done():
		return demoShow{}, context.Cause(ctx)
	}
	sh := demoShow{began: time.Now(), faults: map[string]int{}}
	if err := s.importList(ctx, &sh); err != nil {
		return sh, err
	}
	view := newDemoView(p, s)
	defer view.clear()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.step(ctx, &sh); err != nil {
			if failed := s.engine.halt(); failed != nil {
				err = failed
			}
			return sh, err
		}
		if err := view.show(ctx, sh); err != nil {
			return sh, err
		}
		if sh.done() {
			return sh, s.reasons(ctx, &sh)
		}
		if time.Since(sh.began) > 4*s.hour {
			return sh, errors.New("the demo is not done after four simulated hours; is this machine very busy?")
		}
		select {
		case <-ctx.Done():
			return sh, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// importList hands the good rows over.
func (s *stage) importList(ctx context.Context, sh *demoShow) error {
	list, err := lists.Open(ctx, strings.NewReader(example.CSV), lists.Options{})
	if err != nil {
		return err
	}
	defer list.Close()
	found, err := list.Survey(ctx, func(err error) error {
		word := "same address as an earlier row"
		if bad, ok := errors.AsType[*lists.RowError](err); ok {
			word = "unreadable row"
			if field := bad.Problems[0].Field; field != "" {
				word = "bad " + field
			}
		}
		sh.faults[word]++
		return nil
	})
	if err != nil {
		return err
	}
	sh.rows = found.Rows()
	_, err = list.Accept(ctx, s.conn.client, found, lists.Acceptance{ImportID: demoImport})
	return err
}

// step clicks if it is time to, and reads what has become of the invites.
func (s *stage) step(ctx context.Context, sh *demoShow) (err error) {
	due := s.hour / (visitors + 1) * time.Duration(len(sh.clicks)+1)
	if len(sh.clicks) < visitors && time.Since(sh.began) >= due {
		email, err := tasks.ParseEmail(fmt.Sprintf("visitor.%d@example.com", len(sh.clicks)+1))
		if err != nil {
			return err
		}
		at := time.Now()
		r, err := s.conn.client.Invite(ctx, tasks.Invite{EmailAddress: email})
		if err != nil {
			return err
		}
		sh.clicks = append(sh.clicks, click{id: r.ID, at: at})
	}
	for i := range sh.clicks {
		if c := &sh.clicks[i]; c.took == 0 {
			records, err := s.conn.ledger.Get(ctx, c.id)
			if err != nil {
				return err
			}
			if len(records) == 1 && !records[0].State.Open() {
				c.took = max(records[0].UpdatedAt.Sub(c.at), time.Millisecond)
			}
		}
	}
	sh.list, err = s.conn.client.Import(ctx, demoImport)
	return err
}

// reasons counts why people of the list were not delivered.
func (s *stage) reasons(ctx context.Context, sh *demoShow) error {
	sh.reasons = map[tasks.Reason]int{}
	for st, err := range s.conn.client.All(ctx, enqueue.ListOptions{ImportID: demoImport, States: undelivered}) {
		if err != nil {
			return err
		}
		sh.reasons[st.Reason]++
	}
	return nil
}

// done reports whether every invite is settled.
func (sh demoShow) done() bool {
	for _, c := range sh.clicks {
		if c.took == 0 {
			return false
		}
	}
	return len(sh.clicks) == visitors && sh.list.Open == 0
}

// waits returns the mean and the longest wait of the clicks that are settled.
func (sh demoShow) waits() (n int, mean, longest time.Duration) {
	for _, c := range sh.clicks {
		if c.took > 0 {
			n++
			mean += c.took
			longest = max(longest, c.took)
		}
	}
	if n > 0 {
		mean /= time.Duration(n)
	}
	return n, mean, longest
}
