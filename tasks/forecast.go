package tasks

import "time"

// Forecast says what would become of a list if it were imported now. Everyone who was
// looked at is counted in one of ToSend, Users, Invited, Waiting and Known.
type Forecast struct {
	ToSend  int        `json:"to_send" jsonschema:"people who would get a mail"`
	Users   int        `json:"users" jsonschema:"have an account already: Clerk refuses them"`
	Invited int        `json:"invited" jsonschema:"have a pending invitation: Clerk refuses them, they are not mailed again"`
	Waiting int        `json:"waiting" jsonschema:"an earlier invite for the same person waits or is with Clerk, and goes first"`
	Known   int        `json:"known" jsonschema:"this very invite was made before: nothing happens"`
	Again   int        `json:"again" jsonschema:"of to_send, invited already and mailed again because of ignore_existing"`
	Before  int64      `json:"before" jsonschema:"invites of other imports that go before the last one: imports take turns"`
	ETA     *time.Time `json:"eta" jsonschema:"when the last mail goes, at the current rate; null if nobody would be mailed, or nothing can go now"`
	Reads   int        `json:"reads" jsonschema:"calls to Clerk that this took"`
}
