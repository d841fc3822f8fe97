// Package tasks is the vocabulary that producers and workers share: what an
// invite is, which lanes exist, and the wire format of the asynq tasks.
//
// It imports nothing else of inviteq, so that every side may import it.
//
// # The wire format
//
// A task is a hint; the ledger is the truth. The tasks of our own producers
// therefore carry an id and nothing that a bystander may not see. A foreign
// producer (the asynq command line, another language) may put the whole
// invite into the payload instead; the worker then writes the record itself.
//
//	invitation:create       {"v":1,"id":"inq_…"}
//	                        {"v":1,"email_address":"…", …}           the whole invite
//	invitation:bulk_create  {"v":1,"import_id":"…","from":0,"count":100}
//	                        {"v":1,"import_id":"…","invites":[{…}]}  at most 100 whole invites
//	invitation:revoke       {"v":1,"id":"rvk_…"}
//	                        {"v":1,"target":"inq_… | inv_… | address"}
//	invitation:reconcile    {"v":1,"full":false}
//
// Every payload is a JSON object in UTF-8 with "v":1. Unknown fields are refused,
// so that a misspelt option is an error and not a silent default, and so is a
// field that stands there twice. The golden file testdata/payloads.golden pins
// the format.
//
// # Privacy
//
// An Email masks itself wherever it is printed, logged or marshalled, and so do
// the types that hold one. InviteJSON and Revoke.Target hold an address in the
// open, because they are the wire: keep them short-lived, and in no unexported
// field of anything that may be printed. No error of this package quotes what it
// complains about.
package tasks
