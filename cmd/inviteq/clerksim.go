package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/clerk/clerksim/control"
)

type clerksimCommand struct {
	Addr    string   `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Where to listen. Port 0 takes a free one."`
	Limits  string   `placeholder:"NAME=CALLS/WINDOW,..." help:"Limits other than the published single=100/1h,bulk=25/1h,other=1000/10s; unlimited disables one."`
	Switch  []string `placeholder:"NAME[=VALUE]" sep:"none" help:"Decide what Clerk's documents leave open; --switch help lists all. Repeatable."`
	Fault   []string `placeholder:"FAULT" sep:"none" help:"Make something go wrong: [op/]kind[=argument][:condition]..., such as drop-after:3% or overload:2m..5m. Repeatable."`
	Latency string   `default:"190ms/1.8s" placeholder:"MEDIAN/P999" help:"How long an answer takes; 0 answers at once."`
	Seed    uint64   `default:"0" help:"Makes everything random repeatable."`
	Dev     bool     `help:"Be a development instance: 100 requests in 10 s, and only the first 100 mails a month are sent."`
}

func (clerksimCommand) Help() string {
	return `It accepts the key in CLERK_SECRET_KEY, or sk_test_clerksim if that is not set; it refuses a live key. ` +
		`Its state is in memory, and is lost when it stops (Ctrl-C).

Its page (http://127.0.0.1:9090) and its control API make people accept, addresses bounce, Clerk's clock move and calls fail; ` +
		`GET /control/ lists everything. They ask for no key: listen on this machine only.

Examples:

  inviteq clerksim
  inviteq clerksim --limits single=100/1m,bulk=25/1m --fault drop-after:3%

  curl -d invitation=ada@example.com http://127.0.0.1:9090/control/accept
  curl -d fault=create/drop-after:x1 http://127.0.0.1:9090/control/fault

  CLERK_SECRET_KEY=sk_test_clerksim CLERK_API_URL=http://127.0.0.1:9090/v1 inviteq worker`
}

// Run serves until the context ends.
func (c *clerksimCommand) Run(ctx context.Context, p *program) error {
	if len(c.Switch) == 1 && c.Switch[0] == "help" {
		return c.listSwitches(p)
	}
	cfg := c.config(p)
	sim, err := clerksim.New(cfg)
	if err != nil && len(p.complaints.errs) == 0 {
		p.complaints.add(err)
	}
	if err := p.complaints.usage(); err != nil {
		return err
	}
	defer sim.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %v; choose another --addr", c.Addr, innermost(err))
	}
	p.console.note("simulated Clerk at http://%s/v1 (nobody is mailed); limits: %s", l.Addr(), shownLimits(cfg))
	p.console.note("its page and control API: http://%s", l.Addr())
	if err := sim.ServeHandler(ctx, l, control.Handler(sim)); err != nil {
		return err
	}
	s := sim.Stats()
	p.console.note("simulated Clerk stopped: %d requests, %d e-mails (none was really sent), at most %d for one address", total(s.Calls), s.Mails, s.MaxMails)
	return nil
}

// config puts everything together that is said about the simulator.
func (c *clerksimCommand) config(p *program) clerksim.Config {
	limits, err := clerksim.ParseLimits(c.Limits)
	p.complaints.add(err)
	switches, err := clerksim.ParseSwitches(c.Switch...)
	p.complaints.add(err)
	faults, err := clerksim.ParseFaults(c.Fault...)
	p.complaints.add(err)
	key, err := p.env.secret("CLERK_SECRET_KEY")
	p.complaints.add(err)
	p.complaints.add(refuseLive(key, "clerksim"))
	return clerksim.Config{
		SecretKey: key, Development: c.Dev, Limits: limits, Switches: switches, Rules: faults, Seed: c.Seed,
		Latency:    setting(&p.complaints, "latency", c.Latency, parseLatency),
		MaxHistory: 100_000,
	}
}

// refuseLive keeps the key of a production instance away from everything that
// only pretends.
func refuseLive(key, command string) error {
	if k, err := clerk.ParseSecretKey(key); err == nil && k.Live() {
		return fmt.Errorf("CLERK_SECRET_KEY is a live key (sk_live_…), which %s must never see: unset it", command)
	}
	return nil
}

func parseLatency(s string) (clerksim.Latency, error) {
	if s == "0" {
		return clerksim.Latency{}, nil
	}
	median, p999, two := strings.Cut(s, "/")
	m, err := time.ParseDuration(median)
	l := clerksim.Latency{Median: m}
	if err == nil && two {
		l.P999, err = time.ParseDuration(p999)
	}
	if err != nil || m < 0 || l.P999 < 0 {
		return l, errors.New("must be a duration, or two as in 190ms/1.8s: the median and the slowest of a thousand")
	}
	return l, nil
}

func (c *clerksimCommand) listSwitches(p *program) error {
	var t table
	t.header("switch", "values, the default first", "what it decides")
	for _, s := range clerksim.AllSwitches() {
		t.row(text(s.Name), text(strings.Join(s.Values, " | ")), text(s.Asks))
	}
	return t.print(p.console.out, p.console.onOut)
}

func shownLimits(cfg clerksim.Config) string {
	published := clerksim.PublishedLimits(cfg.Development)
	or := func(l, published clerksim.Limit) clerksim.Limit {
		if l == (clerksim.Limit{}) {
			return published
		}
		return l
	}
	return fmt.Sprintf("single %s, bulk %s, all %s", or(cfg.Limits.Single, published.Single),
		or(cfg.Limits.Bulk, published.Bulk), or(cfg.Limits.Other, published.Other))
}

func total[K comparable](counts map[K]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
