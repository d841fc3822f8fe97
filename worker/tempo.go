package worker

import "time"

// tempo says how often a worker looks around by itself. What is decided never
// depends on it, only how soon a worker sees what nobody has told it: a virtual
// day of the simulation takes longer steps.
type tempo struct {
	idle   time.Duration // The dispatcher, when the ledger knows of nothing to come: a nudge may have gone to another process.
	chores time.Duration // Unknown outcomes and wanted revokes. While there are some it is a second.
	sweep  time.Duration // Records without a task.
	trim   time.Duration // Settled invites whose retention has passed.
	beat   time.Duration // Whether the ledger has forgotten something (pulse.go).
	watch  time.Duration // The gate over everything.
	tasks  time.Duration // asynq's fetch loop; its default of a second costs every lone invite 0.6 s.
	due    time.Duration // asynq's loop over tasks that have slept enough.
	greets bool          // Clerk is asked before the first turn. A simulated world plays its faults on the calls that it has named.
	deaf   bool          // No asynq server: the dispatcher alone, as for a process whose tasks others run.
}

var shippedTempo = tempo{
	idle:   10 * time.Second,
	chores: 5 * time.Second,
	sweep:  30 * time.Second,
	trim:   time.Minute,
	beat:   beatEvery,
	watch:  15 * time.Second,
	greets: true,
	tasks:  150 * time.Millisecond,
	due:    time.Second,
}

// unhurriedTempo is that of Config.Unhurried.
var unhurriedTempo = tempo{
	idle:   10 * time.Minute,
	chores: 15 * time.Second,
	sweep:  time.Hour,
	trim:   time.Hour,
	beat:   10 * time.Second, // soon enough for those who ask whether a worker is there (fellowLives in package ledger)
	watch:  5 * time.Minute,
	tasks:  15 * time.Second,
	due:    30 * time.Second,
}
