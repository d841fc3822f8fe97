package main

import (
	"context"
	"sync"

	"github.com/inviteq/inviteq/worker"
)

// engine is a worker in this process.
type engine struct {
	*worker.Worker
	stop    context.CancelFunc
	running sync.WaitGroup
	failed  error // why the worker has ended before it was told to
}

// startEngine lets a worker work until halt. The context that it returns ends with the
// one that it is given, or when the worker fails.
func startEngine(ctx context.Context, cfg worker.Config) (*engine, context.Context, error) {
	w, err := worker.New(ctx, cfg)
	if err != nil {
		return nil, ctx, err
	}
	ctx, stop := context.WithCancel(ctx)
	e := &engine{Worker: w, stop: stop}
	e.running.Go(func() {
		if e.failed = w.Run(ctx); e.failed != nil {
			stop()
		}
	})
	return e, ctx, nil
}

// halt stops the worker, which settles the calls in flight first, and returns why it
// has failed if it has.
func (e *engine) halt() error {
	e.stop()
	e.running.Wait()
	return e.failed
}
