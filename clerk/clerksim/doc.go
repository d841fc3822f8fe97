// Package clerksim is a simulated Clerk: the invitation part of Clerk's Backend
// API as a stateful server in memory, with its rate limits, with everything that
// can go wrong on the way, and with a history that tests can ask.
//
// # What is simulated
//
//	POST /v1/invitations                CreateInvitation
//	POST /v1/invitations/bulk           CreateBulkInvitations, up to 10
//	GET  /v1/invitations                ListInvitations
//	POST /v1/invitations/{id}/revoke    RevokeInvitation
//	DELETE /v1/invitations/{id}         deleteInvitation in the JavaScript SDK
//	GET  /v1/users, GET /v1/users/count by email_address, user_id or query
//
// Shapes are those of Clerk's OpenAPI document (github.com/clerk/openapi-specs,
// bapi 2026-05-12); the tests hold requests and answers against it when the
// environment variable CLERK_OPENAPI names a copy, and drive every operation by
// the official Go SDK. An invitation is pending until it is accepted, revoked or
// past its expiry; a pending one, or a user with the address, stands in the way
// of the next; a create without notify=false sends one e-mail, and the history
// counts it. What Clerk can do and a Sim cannot is answered 501 not_simulated,
// never with something made up.
//
// # How to use it
//
// A [Sim] is an [net/http.Handler]. Tests in a testing/synctest bubble connect to
// it in process, over net.Pipe:
//
//	sim, err := clerksim.New(clerksim.Config{})
//	defer sim.Close()
//	client := &http.Client{Transport: sim.Transport()} // base URL clerksim.PipeURL
//
// Other tests start a server on a free port, see [Start]; programs use [Sim.Serve],
// and clerksim/control adds a page and an API by which people and scripts act. Time comes from time.Now, so a
// bubble bends it. Everything random follows from Config.Seed.
//
// The rest of the world acts through methods: [Sim.AddUser], [Sim.BlockAddress],
// [Sim.Suppress], [Sim.Accept], [Sim.Expire], [Sim.RevokeInDashboard], [Sim.Delete],
// and another program on the same key by [Sim.CreateForeign], [Sim.CreateForeignFrom]
// and [Sim.SpendForeign]. The history says which request made which invitation, and
// which are foreign, also of those that have been deleted: an oracle can tell whether
// a client ever touched what it had not made.
//
// Clerk has a clock of its own: Config.ClockOffset and [Sim.SetClockOffset].
//
// # What goes wrong
//
// A [Fault] strikes one request: its connection is really closed, its answer
// really late. Four sources are asked in this order: [Sim.Outage], the hook
// Config.Fault, what [Sim.Inject] queued, and Config.Rules, which [ParseFaults]
// makes of text. Whether a fault strikes before or after commit is part of its
// kind, because a client cannot tell and that is the point. A request that Clerk
// has received takes effect even if its client has given up waiting.
//
// # What is not known about Clerk
//
// Clerk's documents leave much open. [Switches] answer each question one way or
// the other, and a client must be right with all of them. [AllSwitches] lists the
// questions with their answers, [ParseSwitches] reads them, and [DrawSwitches]
// draws a combination for a simulation. The page README.md beside this file has
// them as a table.
//
// What it cannot show: how Clerk behaves under true load, its web pages, its
// webhooks (there is none for these invitations), HTTP/2, and anything that
// nobody has thought of.
package clerksim
