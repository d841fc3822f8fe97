package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// usageError is the caller's mistake: nothing was done. The exit code is 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// errTold ends a command whose output has said already what went wrong.
var errTold = errors.New("failed")

// report prints an error, one line per problem, and returns the exit code.
func (p *program) report(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold):
		return exitFailed
	case errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.EPIPE):
		return exitFailed // The reader of our output has left: `inviteq list | head`.
	}
	code := exitFailed
	if _, ok := errors.AsType[*usageError](err); ok {
		code = exitUsage
	} else if _, ok := errors.AsType[*tasks.ValidationError](err); ok {
		code = exitUsage
	} else if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		err = errors.New("interrupted")
	} else {
		err = p.explain(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		fmt.Fprintln(p.console.err, p.console.onErr.red("inviteq:")+" "+p.masked(line))
	}
	return code
}

// masked hides the addresses of the command line: a library that reports bad
// usage may quote it.
func (p *program) masked(line string) string {
	for _, arg := range p.args {
		if strings.Contains(arg, "@") {
			line = strings.ReplaceAll(line, arg, "(address)")
		}
	}
	return line
}

// explain adds to an error what to do about it.
func (p *program) explain(err error) error {
	if t, ok := errors.AsType[*redisconn.Trouble](err); ok {
		if stopped, ok := errors.AsType[*enqueue.ImportError](err); ok {
			stopped.Err = t
			return stopped
		}
		return t // It says all; what was under way when it struck does not matter to a person.
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return errors.New("nothing is known of it; `inviteq list` shows what is")
	}
	return err
}
