package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/seal"
)

// grammar is the command line. Every subcommand has a file of its own.
type grammar struct {
	Demo     demoCommand     `cmd:"" group:"try" help:"Show everything in one process: a simulated hour in a minute."`
	Clerksim clerksimCommand `cmd:"" group:"try" help:"Run a simulated Clerk, which mails nobody."`

	Worker workerCommand `cmd:"" group:"deliver" help:"Deliver invites through Clerk until told to stop."`

	Send   sendCommand    `cmd:"" group:"produce" help:"Send a list from this machine, without a Redis."`
	API    apiCommand     `cmd:"" name:"api" group:"produce" help:"Serve the HTTP API, and manage its tokens."`
	Invite invitesCommand `cmd:"" group:"produce" help:"Invite one person, or a few."`
	Outbox outboxCommand  `cmd:"" group:"produce" help:"Hand on what services have written into their database."`
	Import importCommand  `cmd:"" group:"produce" help:"Invite the people on a list."`
	MCP    mcpCommand     `cmd:"" name:"mcp" group:"produce" help:"Let agents look and, with your approval, invite (Model Context Protocol)."`
	Revoke revokeCommand  `cmd:"" group:"produce" help:"Take an invite back, sent or not."`

	Status  statusCommand  `cmd:"" group:"ask" help:"Show what became of an invite or an import, or count all invites."`
	Show    showCommand    `cmd:"" group:"ask" help:"Show what has happened to an invite, step by step."`
	List    listCommand    `cmd:"" group:"ask" help:"List invites by state or import."`
	Imports importsCommand `cmd:"" group:"ask" help:"List imports: their files, how far they are, and whether they go."`
	Events  eventsCommand  `cmd:"" group:"ask" help:"Show every change of an invite's state."`
	Quota   quotaCommand   `cmd:"" group:"ask" help:"Show what is left of Clerk's limits, and how many invites wait."`
	Audit   auditCommand   `cmd:"" group:"ask" help:"Show who has done what, and who was shown an address."`
	Workers workersCommand `cmd:"" group:"ask" help:"List the workers that are there, with their limits, versions and clocks."`
	Health  healthCommand  `cmd:"" group:"ask" help:"Say whether the worker on this machine can deliver."`

	Reconcile reconcileCommand `cmd:"" group:"act" help:"Compare the ledger with Clerk now, or Clerk with a list."`

	Retry   retryCommand   `cmd:"" group:"act" help:"Queue failed, parked or rejected invites again."`
	Release releaseCommand `cmd:"" group:"act" help:"Queue parked invites again, once you have fixed the cause."`
	Forget  forgetCommand  `cmd:"" group:"act" help:"Remove a person from Redis, and from Clerk if told so, and prove it."`
	Export  exportCommand  `cmd:"" group:"ask" help:"Print everything that is kept about a person."`
	Rekey   rekeyCommand   `cmd:"" group:"act" help:"Encrypt the ledger, or replace the key that it is encrypted with."`
	Renew   renewCommand   `cmd:"" group:"act" help:"Invite people anew whose invitation has expired, or is to be replaced."`
	Pause   pauseCommand   `cmd:"" group:"act" help:"Send nothing until resume."`
	Resume  resumeCommand  `cmd:"" group:"act" help:"Undo pause."`

	Config     configCommand     `cmd:"" group:"about" help:"Show what is configured, and where each value comes from."`
	Completion completionCommand `cmd:"" group:"about" help:"Print a script that completes commands in bash, zsh or fish."`
	HelpFor    helpCommand       `cmd:"" name:"help" group:"about" help:"Show the help of a command, or a manual page of all."`
	Version    versionCommand    `cmd:"" group:"about" help:"Show the version."`

	EnvFile string `placeholder:"FILE" help:"Read variables from this file, one NAME=value a line. What the environment says goes first."`
}

var groups = []kong.Group{
	{Key: "try", Title: "Try it:"},
	{Key: "deliver", Title: "Deliver:"},
	{Key: "produce", Title: "Invite:"},
	{Key: "ask", Title: "Look:"},
	{Key: "act", Title: "Step in:"},
	{Key: "about", Title: "About:"},
}

const description = `Delivers Clerk invitations durably, in bulk, inside Clerk's limits, and never twice.

REDIS_URL says where the queue is (default redis://127.0.0.1:6379/0; also rediss://, unix://, redis-sentinel://h:p,h:p/0?master=NAME, redis-cluster://h:p,h:p); REDIS_URL_FILE names a file that holds it. INVITEQ_ENCRYPTION_KEY, or the file that INVITEQ_ENCRYPTION_KEY_FILE names, holds the key that the queue is encrypted with, if it is. ` +
	`Every flag can be set by an environment variable, which its help names.`

// program is one run of inviteq.
type program struct {
	env        environment
	fromFile   map[string]bool // variables that --env-file has added
	console    console
	args       []string
	complaints complaints
	redisFiles redisconn.Files
	durability redisconn.Durability
	keys       seal.Keys
	redisAddr  string // Where Redis is, for error texts; without the password.
}

func newProgram(environ []string, stdin io.Reader, stdout, stderr io.Writer) *program {
	env := newEnvironment(environ)
	return &program{env: env, fromFile: map[string]bool{}, console: newConsole(env, stdin, stdout, stderr)}
}

// command is what a subcommand's struct does.
type command interface {
	Run(ctx context.Context, p *program) error
}

// parse returns the command that args ask for, or nil when all is done (help
// has been printed).
func (p *program) parse(args []string) (func(context.Context) error, error) {
	p.args = args
	out := p.console.out
	switch {
	case len(args) == 0:
		args, out = []string{"--help"}, p.console.err
	case len(args) == 1 && args[0] == "--version":
		args = []string{"version"}
	}
	if err := p.readEnvFile(args); err != nil {
		return nil, err
	}
	helped := false
	parser, err := p.parser(out, func(int) { helped = true })
	if err != nil {
		return nil, err
	}
	kctx, err := parser.Parse(args)
	for _, err := range misspelt(p.env, knownVariables(parser.Model)) {
		p.complaints.add(err)
	}
	switch {
	case helped && len(p.args) == 0:
		return nil, usagef("say what to do, for example `inviteq demo`")
	case helped:
		return nil, nil //nolint:nilnil // nothing to do, and nothing wrong
	case err != nil:
		return nil, &usageError{errors.Join(append([]error{p.helpful(err)}, p.complaints.errs...)...)}
	}
	for _, f := range kctx.Flags() {
		file, _ := kctx.FlagValue(f).(string)
		switch f.Name {
		case "durability":
			p.durability = redisconn.Durability(file)
		case "redis-ca-file":
			p.redisFiles.CA = file
		case "redis-cert-file":
			p.redisFiles.Cert = file
		case "redis-key-file":
			p.redisFiles.Key = file
		}
	}
	selected, ok := kctx.Selected().Target.Addr().Interface().(command)
	if !ok {
		return nil, fmt.Errorf("the command %s does nothing", kctx.Command())
	}
	return func(ctx context.Context) error { return selected.Run(ctx, p) }, nil
}

func (p *program) parser(out io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(new(grammar),
		kong.Name("inviteq"),
		kong.Description(description),
		kong.Writers(out, p.console.err),
		kong.Exit(exit),
		kong.Resolvers(resolver{p.env, &p.complaints}),
		kong.ValueFormatter(flagHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ExplicitGroups(groups),
	)
}

// helpful says where to read on.
func (p *program) helpful(err error) error {
	name := "inviteq"
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil && e.Context.Selected() != nil {
		name = e.Context.Selected().FullPath()
	}
	return fmt.Errorf("%w; see `%s --help`", err, name)
}

// printJSON writes one object, on one line.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.console.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Flags that several commands share.
type (
	instanceFlag struct {
		Instance string `default:"default" placeholder:"NAME" help:"The Clerk instance: one secret key, one queue."`
		redisFlags
	}
	// clerkFlag is that of every command that asks Clerk.
	clerkFlag struct {
		ClerkAPIURL string `name:"clerk-api-url" variable:"CLERK_API_URL" default:"https://api.clerk.com/v1" placeholder:"URL" help:"Clerk's API. Plain http is accepted on this machine only, or with a key that is not live."`
	}
	// redisFlags are those of every command that connects to Redis; parse reads them.
	redisFlags struct {
		RedisCAFile   string `name:"redis-ca-file" variable:"REDIS_CA_FILE" placeholder:"FILE" help:"Trust this authority for Redis's certificate, and no other: PEM. Needs a rediss:// URL."`
		RedisCertFile string `name:"redis-cert-file" variable:"REDIS_CERT_FILE" placeholder:"FILE" help:"Show Redis this client certificate: PEM, the whole chain."`
		RedisKeyFile  string `name:"redis-key-file" variable:"REDIS_KEY_FILE" placeholder:"FILE" help:"Its key, PEM."`
		Durability    string `enum:"local,replica,fsync" default:"local" placeholder:"WORD" help:"When an invite, an import or a revoke counts as accepted: local is when Redis has it, replica when a replica has it, too, fsync when it is on Redis's disk (Redis 7.2, or appendfsync always)."`
	}
	jsonFlag struct {
		JSON bool `help:"Print JSON, one object per line."`
	}
)

// instance checks the name and adds to the complaints.
func (p *program) instance(name string) string {
	if err := tasks.CheckInstance(name); err != nil {
		p.complaints.add(fmt.Errorf("--instance ($INVITEQ_INSTANCE): %w", err))
	}
	return name
}

// readKeys reads the keys that the ledger is encrypted with, and adds to the complaints.
func (p *program) readKeys() {
	text, err := p.env.secret("INVITEQ_ENCRYPTION_KEY")
	if err == nil {
		if p.keys, err = seal.ParseKeys(text); err != nil {
			err = fmt.Errorf("INVITEQ_ENCRYPTION_KEY: %w", err)
		}
	}
	p.complaints.add(err)
}

// redisOptions understands REDIS_URL and the files that belong to it, reads the
// encryption keys, and adds to the complaints.
func (p *program) redisOptions() *redis.UniversalOptions {
	p.readKeys()
	raw, err := p.env.secret("REDIS_URL")
	p.complaints.add(err)
	opts, err := redisconn.Parse(raw, p.redisFiles)
	if err != nil {
		p.complaints.add(err)
		return &redis.UniversalOptions{}
	}
	p.redisAddr = redisconn.Place(opts)
	opts.ClientName = "inviteq"
	return opts
}
