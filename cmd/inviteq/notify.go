package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervised tells systemd that the program is ready, when it is told to stop, and,
// as often as systemd wants to hear it (WatchdogSec), that it lives. It does not watch
// Clerk or Redis: to restart would not bring them back. Without systemd nothing happens.
func supervised(ctx context.Context) (left func()) {
	say := func(what string) { _, _ = daemon.SdNotify(false, what) } // if it does not hear, it acts
	say(daemon.SdNotifyReady)
	told := context.AfterFunc(ctx, func() { say(daemon.SdNotifyStopping) })
	done := make(chan struct{})
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		go func() {
			tick := time.NewTicker(every / 2)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					say(daemon.SdNotifyWatchdog)
				}
			}
		}()
	}
	return func() { told(); close(done) }
}
