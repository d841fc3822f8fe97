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
// the other, and a client must be right with all of them:
//
//	unknown                                                     switch                  default
//	fixed window, sliding, counter or bucket?                   limiter                 sliding log
//	do refused requests count?                                  refused-count           no
//	what does Retry-After say, seconds or a date, how much?     retry-after             seconds until it opens
//	status and code of a bulk call with a user's address        bulk-user               422 form_identifier_exists
//	does that error name the address?                           bulk-user-naming        no
//	does a validation error in bulk name the member?            bulk-invalid-naming     no
//	does not_allowed_access name the blocked address?           blocked-naming          all of them
//	is a refused bulk call all-or-nothing?                      bulk-partial            yes, nothing is created
//	are bulk answers in the order of the request?               bulk-in-order           no, shuffled
//	status of bulk_size_exceeded                                bulk-size-status        400
//	how many may a bulk call really have?                       bulk-max                10, as published
//	status of a bulk call without members                       empty-bulk-status       400
//	two equal addresses in one bulk body                        equal-in-body           accepted: two mails
//	does ignore_existing override an existing user?             user-bypass             single yes, bulk no
//	does an expired invitation count as existing?               duplicate-sees-expired  no
//	may an expired invitation be revoked?                       refuse-revoke-expired   yes, it becomes revoked
//	which published code has a revoke of a revoked one?         revoked-code            invitation_already_revoked
//	what does a deletion answer?                                delete-answer           a deleted object
//	are the error codes right that were only inferred?          unfamiliar-codes        yes
//	are addresses kept as sent, lower-cased, or otherwise?      echo-address            lower-cased
//	is public_metadata answered as it was sent?                 echo-metadata           yes, apart from blanks
//	does query match exactly, by prefix, by part?               query                   exactly
//	is the order of rows with equal keys stable?                unstable-ties           yes, by id
//	how far do reads lag behind writes, and evenly?             lag, lag-varies         not at all
//	are parameters unknown to a list refused?                   unknown-query           yes
//	is an empty status=, limit= or order_by= refused?           empty-query             yes
//	is a path with a slash at its end another path?             trailing-slash          no
//	is a body without a Content-Type refused?                   no-content-type         yes, 415
//	status of a method that the path does not have              wrong-method-status     405
//	does the edge refuse a default User-Agent?                  edge-agent              no
//
// The names are those that [ParseSwitches] reads; [AllSwitches] lists their
// values, and [DrawSwitches] draws a combination for a simulation.
//
// What it cannot show: how Clerk behaves under true load, its web pages, its
// webhooks (there is none for these invitations), HTTP/2, and anything that
// nobody has thought of.
package clerksim
