// Command inviteq delivers Clerk invitations for other services: durably, in
// bulk, inside Clerk's limits, and never twice. `inviteq --help` lists what it
// can do; every subcommand has a file of its own.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// version is set by the linker: -X main.version=…
var version = "dev"

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it was understood, and did not work
	exitUsage  = 2 // bad usage, bad configuration or bad input: nothing was done
)

func main() {
	redis.SetLogger(quiet{})
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to end; from then on a second one ends at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it does what args say and returns the exit code. It ends
// early when ctx ends.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := newProgram(environ, stdin, stdout, stderr)
	command, err := p.parse(args)
	if err == nil && command != nil {
		var flush func()
		if flush, err = p.tracing(ctx); err == nil {
			err = command(ctx)
		}
		flush()
	}
	return p.report(ctx, err)
}

// quiet swallows what go-redis would print past the program's own logs: it
// returns every error as well.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
