package main

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/show"
)

// connection is what a command needs that works on a queue.
type connection struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	client *enqueue.Client
}

// connect opens the queue of an instance. All complaints about the
// configuration come back together, before anything is connected.
func (p *program) connect(ctx context.Context, instance string) (*connection, error) {
	opts := p.redisOptions()
	cfg := ledger.Config{Instance: p.instance(instance), Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve, Durability: p.durability, EncryptionKeys: p.keys}
	if err := p.complaints.usage(); err != nil {
		return nil, err
	}
	if redisconn.Unverified(opts) {
		p.console.note("warning: %s", redisconn.UnverifiedWarning)
	}
	return open(ctx, opts, cfg)
}

func open(ctx context.Context, opts *redis.UniversalOptions, cfg ledger.Config) (*connection, error) {
	rdb := redisconn.New(opts)
	l, err := ledger.Open(ctx, rdb, cfg)
	if err != nil {
		_ = rdb.Close() // nothing was written
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Redis: rdb, Instance: cfg.Instance, Durability: cfg.Durability, EncryptionKeys: cfg.EncryptionKeys})
	if err != nil {
		_ = rdb.Close() // nothing was written
		return nil, err
	}
	return &connection{rdb: rdb, ledger: l, client: client}, nil
}

// Close ends the connection; what was written stays written.
func (c *connection) Close() { _ = c.rdb.Close() }

// warnTask says that an invite is accepted but has no task yet.
func (p *program) warnTask(err error) {
	if err != nil {
		p.console.note("warning: accepted, but its task could not be enqueued (%v); a worker does so within minutes", err)
	}
}

// hint says why nothing is being sent, if nothing is.
func (p *program) hint(ctx context.Context, conn *connection) {
	for _, why := range p.obstacles(ctx, conn) {
		p.console.note("%s", why)
	}
}

// obstacles are why nothing, or not all, is being sent: no worker is running, a lane or
// an import is paused, or Clerk refuses the workers or does not answer.
func (p *program) obstacles(ctx context.Context, conn *connection) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	o, err := conn.ledger.Overview(ctx, ledger.Now)
	if err != nil {
		return all // The command has its own error to tell.
	}
	if o.Workers == 0 {
		say("No worker is running for this instance, so nothing is sent yet: start one with `inviteq worker`.")
	}
	for _, lane := range tasks.Lanes {
		if since, ok := o.Paused[lane]; ok {
			say("The %s lane was paused %s; `inviteq resume --lane %s` resumes it.", lane, show.Ago(o.At, since), lane)
		}
	}
	if o.Stopped > 0 && o.Shelved > 0 {
		say("%s of %s paused or held wait; `inviteq imports` lists them.", show.Count(o.Shelved, "invite"), show.Count(o.Stopped, "import"))
	}
	if o.Closed.Closed() {
		say("Nothing is sent (%s). %s", o.Closed.Why, o.Closed.Why.Entry())
	}
	if outage := o.Outage(); outage != "" {
		say("%s", outage)
	}
	return all
}
