package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/cmd/inviteq/store"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/show"
)

// stateFolder is where the ledger of a Clerk instance lies: it is named after the key,
// which nobody can read from the name.
func (p *program) stateFolder(clerkURL string) (string, error) {
	key, err := p.env.secret("CLERK_SECRET_KEY")
	if err != nil || key == "" {
		return "", nil //nolint:nilerr // clerkClient complains
	}
	state := p.env["XDG_STATE_HOME"]
	if home := cmp.Or(p.env["HOME"], p.env["USERPROFILE"]); state == "" && home != "" {
		state = filepath.Join(home, ".local", "state")
	}
	if !filepath.IsAbs(state) {
		return "", errors.New("XDG_STATE_HOME or HOME must name a folder: what was sent is kept there")
	}
	digest := sha256.Sum256([]byte("inviteq send\n" + strings.TrimRight(clerkURL, "/") + "\n" + key))
	return filepath.Join(state, "inviteq", hex.EncodeToString(digest[:8])), nil
}

// open takes the folder and opens the ledger in it.
func (r *sendRun) open(ctx context.Context, dir string) (err error) {
	if r.store, err = store.Open(ctx, dir); errors.Is(err, store.ErrBusy) {
		return errors.New("another inviteq send is running with this key; wait until it has ended")
	} else if err != nil {
		return fmt.Errorf("what is sent cannot be kept in %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	log, err := os.OpenFile(filepath.Join(dir, "send.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	r.worker.Log = zerolog.New(log).With().Timestamp().Logger()
	if r.worker.Redis, err = r.store.Options(); err != nil {
		return err
	}
	if r.conn, err = open(ctx, r.worker.Redis, r.worker.Ledger); err != nil {
		return err
	}
	if r.store.Orderly {
		server, err := redisconn.Identify(ctx, r.conn.rdb, r.conn.ledger.Key())
		if err != nil {
			return err
		}
		if err := r.conn.ledger.Trust(ctx, server.RunID); err != nil {
			return err
		}
	}
	return r.conn.ledger.Publish(ctx) // The forecast needs the limits.
}

func (r *sendRun) close() error {
	if r.conn != nil {
		r.conn.Close()
	}
	return r.store.Close()
}

// onlyThis lets every other list wait that was not finished, until its own command is
// given again: it may have been the wrong list.
func (r *sendRun) onlyThis(ctx context.Context) error {
	const looked = 1000
	all, _, err := r.conn.client.Imports(ctx, 0, looked)
	if err != nil {
		return err
	}
	for _, i := range all {
		switch {
		case i.State == tasks.ImportDone:
		case i.ID == r.ImportID:
			_, err = r.conn.client.ResumeImport(ctx, i.ID)
		default:
			r.p.console.note("%s was not finished: %s of %s wait until it is sent again.", cmp.Or(i.Name, "The list of "+show.Time(i.CreatedAt)),
				show.Thousands(i.Open), show.Count(i.Total, "row"))
			_, err = r.conn.client.PauseImport(ctx, i.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	defaultMark = "inviteq_id"
	noMark      = "none"
)

// mark is the key of the mark. With ignore_existing nothing else settles for certain
// whether a call that got no answer has invited the person.
func (r *sendRun) mark(ctx context.Context) (string, error) {
	switch r.command.Mark {
	case noMark:
		return "", nil
	case "":
	default:
		return r.command.Mark, nil
	}
	for i, err := range r.list.Invites(ctx, r.ImportID) {
		if err != nil {
			return "", err
		}
		if i.IgnoreExisting {
			return defaultMark, nil
		}
	}
	return "", nil
}
