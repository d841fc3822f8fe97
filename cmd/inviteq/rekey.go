package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/show"
)

type rekeyCommand struct {
	Anew bool `help:"Encrypt every record anew, although the ledger is encrypted: no key and no copy of Redis of before reads what comes later. Needs the workers stopped."`
	instanceFlag
	jsonFlag
}

func (rekeyCommand) Help() string {
	return `Encrypts what Redis holds about people, or replaces the key. INVITEQ_ENCRYPTION_KEY holds the keys, separated by commas: the first encrypts, and all decrypt. Each is 32 random bytes in base64:

  openssl rand -base64 32

To encrypt a ledger that is in use, stop its workers, give every process the key, run this, and start them. It encrypts some ten thousand invites a second; producers are told meanwhile to try again. An empty ledger needs no command: it is encrypted from its first invite on.

To replace a key, give every process NEW,OLD, run this (it takes a moment, while everything runs), and then give them NEW alone. If the old key may be known to others, say --anew.

A key that is lost cannot be replaced: nobody can read the ledger then.

Examples:

  inviteq rekey
  inviteq rekey --anew --json`
}

// Run encrypts the ledger.
func (c *rekeyCommand) Run(ctx context.Context, p *program) error {
	opts := p.redisOptions()
	cfg := ledger.Config{Instance: p.instance(c.Instance), EncryptionKeys: p.keys}
	if len(p.keys) == 0 {
		p.complaints.add(errors.New("INVITEQ_ENCRYPTION_KEY or INVITEQ_ENCRYPTION_KEY_FILE must hold the key; make one with: openssl rand -base64 32"))
	}
	if err := p.complaints.usage(); err != nil {
		return err
	}
	rdb := redisconn.New(opts)
	defer func() { _ = rdb.Close() }()
	screen, began := newLive(p.console), time.Now()
	done, err := ledger.Rekey(ctx, rdb, cfg, c.Anew, func(done, total int) {
		screen.progress(total, fmt.Sprintf("%s of %s", show.Thousands(done), show.Count(total, "record")), part{int64(done), "█", p.console.onErr.green})
	})
	screen.clear()
	if err != nil {
		return err
	}
	if conn, err := open(ctx, opts, cfg); err == nil {
		p.audit(ctx, conn, "rekey", "", done.Records)
		conn.Close()
	}
	switch {
	case c.JSON:
		return p.printJSON(done)
	case done.Records == 0 && done.Was == "":
		fmt.Fprintf(p.console.out, "The ledger is encrypted from its first invite on, with the key %s.\n", done.Key)
	case done.Records == 0 && done.Was == done.Key:
		fmt.Fprintf(p.console.out, "The ledger is encrypted with the key %s, as it was.\n", done.Key)
	case done.Records == 0:
		fmt.Fprintf(p.console.out, "The ledger is encrypted with the key %s now, and no longer with %s.\n", done.Key, done.Was)
	default:
		fmt.Fprintf(p.console.out, "%s encrypted in %s with the key %s.\n", show.Count(done.Records, "record"), time.Since(began).Round(time.Millisecond), done.Key)
	}
	if done.Left > 0 {
		return fmt.Errorf("%s cannot be read and are as they were; `inviteq workers` and /readyz name them", show.Count(done.Left, "record"))
	}
	return nil
}
