package tasks

// ImportState says whether an import goes.
type ImportState string

const (
	ImportRunning  ImportState = "running"
	ImportPaused   ImportState = "paused"   // A person paused it, and has to resume it.
	ImportHeld     ImportState = "held"     // It waits for the time at which its first row may go.
	ImportRevoking ImportState = "revoking" // It stands still while its rows are canceled.
	ImportDone     ImportState = "done"     // None of its invites is open.
)
