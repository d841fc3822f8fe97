package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the outbox
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/enqueue/outbox"
)

type outboxCommand struct {
	DatabaseURL string `name:"database-url" variable:"-" placeholder:"URL" help:"The service's PostgreSQL, without a password: postgres://user@host/database."`
	Migrate     bool   `variable:"INVITEQ_OUTBOX_MIGRATE" help:"First make the table, or bring it up to date."`
	instanceFlag
}

func (outboxCommand) Help() string {
	return `The relay of a transactional outbox: services write invites into the table inviteq_outbox, in the transaction that is the reason for them (Go: package enqueue/outbox), and this command hands them on, and deletes them ten seconds later, when Redis still has them. Any number of relays may run. What inviteq refuses stays in the table, and column problem says why.

INVITEQ_DATABASE_URL, or the file that INVITEQ_DATABASE_URL_FILE names, may hold a URL with a password in place of the flag. PGHOST, PGUSER, PGPASSWORD and the like count where the URL is silent.

Examples:

  inviteq outbox --database-url postgres://app@db.example.com/app --migrate
  INVITEQ_DATABASE_URL_FILE=/run/secrets/database inviteq outbox`
}

// Run hands rows on until told to stop.
func (c *outboxCommand) Run(ctx context.Context, p *program) error {
	address, err := p.databaseURL(c.DatabaseURL)
	p.complaints.add(err)
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	db, err := sql.Open("pgx", address)
	if err != nil {
		return &usageError{errors.New("the database's URL cannot be read: it looks like postgres://user@host/database")} // err may quote it
	}
	defer db.Close()
	if c.Migrate {
		if err := outbox.Migrate(ctx, db); err != nil {
			return err
		}
	}
	log := zerolog.New(p.console.err).With().Timestamp().Logger()
	log.Info().Str("version", version).Msg("relay started")
	relay := outbox.Relay{DB: db, Client: conn.client, Report: func(b outbox.Batch) {
		switch {
		case b.Err != nil:
			log.Error().Err(b.Err).Msg("the outbox cannot be handed on; trying again")
		case b.Refused > 0:
			log.Warn().Int("accepted", b.Accepted).Int("refused", b.Refused).Msg("some rows are refused: column problem of inviteq_outbox says why")
		case b.Again > 0:
			log.Warn().Int("accepted", b.Accepted).Int("again", b.Again).Msg("Redis has lost some of what it had acknowledged: it is handed on again")
		default:
			log.Info().Int("accepted", b.Accepted).Msg("handed on")
		}
	}}
	return relay.Run(ctx)
}

// databaseURL is that of the flag, which shows no password to others on this machine, or
// of the environment.
func (p *program) databaseURL(flag string) (string, error) {
	secret, err := p.env.secret("INVITEQ_DATABASE_URL")
	switch {
	case err != nil:
		return "", err
	case flag == "" && secret == "":
		return "", errors.New("--database-url or INVITEQ_DATABASE_URL must say where the outbox is")
	case flag == "":
		return secret, nil
	case secret != "":
		return "", errors.New("--database-url and INVITEQ_DATABASE_URL are both set; unset one of them")
	}
	u, err := url.Parse(flag)
	if err != nil {
		return "", errors.New("--database-url is not a URL: it looks like postgres://user@host/database")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return "", errors.New("--database-url must not hold the password, which others on this machine could read: use INVITEQ_DATABASE_URL or INVITEQ_DATABASE_URL_FILE")
	}
	return flag, nil
}
