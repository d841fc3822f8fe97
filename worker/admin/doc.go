// Package admin is what a person, a browser and a Prometheus see of a worker:
//
//	/                            status: what needs a person first, then quota, backlog, outcomes
//	/invites, /invites/{id}      invites by state, reason and age; all that has happened to one
//	/search                      by address (POST: it stands in no URL), id, Clerk's id, import or key
//	/imports, /imports/{id}      how far a list has got, row by row, addresses masked
//	/charts                      what happened in 48 hours, and in 30 days
//	/uploads/{id}                a list on its way: columns, what it holds, a look before, start
//	/reconciliation              ledger and Clerk compared: what runs, the report row by row, adopt
//	/webhooks                    deliveries of events with their answers, and replay
//	/audit                       who has done what, for admins
//	/imports/{id}/outcomes.csv   the outcome of every row, with whole addresses
//	/monitoring                  asynqmon: queues and tasks, read-only unless Config.Actions
//	/metrics                     for Prometheus; metrics.go and collector.go list the names
//	/healthz, /readyz            for probes (worker.Worker.Handler)
//
// # Access
//
// Without a token the pages are for this machine: on a loopback listener they are
// open, but only under a loopback name in the Host header, so that a web site whose
// name has been pointed at 127.0.0.1 cannot read them, and not through a proxy, which
// anybody may stand behind. On any other listener
// everything but the probes is locked until a token is set.
//
// With a token everything but the probes asks for it, on loopback too: as a bearer
// token (Prometheus, curl), as the password of HTTP's basic authentication under any
// user name, or on the sign-in page, which leaves a cookie for twelve hours
// (session.go). Probes need none, because a kubelet has none, and they
// tell no more than a few stable words. The outcomes of an import, and an address that is
// revealed on an invite's page, are the places with whole addresses: they are for admins,
// and noted in the audit log. After
// ten wrong tokens a minute from one address the next ones are told to wait; the right one works
// on. Whoever serves the pages off the machine does so over TLS, or behind a proxy
// that speaks it.
//
// The tokens of `inviteq api token` open the pages, too, if they are of scope instance: a
// viewer looks, an operator acts, an admin reveals. Who comes without a token, from this
// machine, looks, and acts only if Config.Actions says so. What a role may not do is not
// shown, and refused.
//
// Requests that change something are refused if they come from another origin.
//
// # Addresses
//
// Pages show addresses masked, as tasks.Email does. A foreign producer's task may
// hold a whole invite: asynqmon gets formatters that say what a payload is about,
// and its answers are searched for addresses once more on their way out.
//
// # Live pages
//
// The pages are rendered here, and complete without JavaScript, where they reload
// every ten seconds. With it, the same sections come over server-sent events when
// they have changed. No style or script is inline, and nothing comes from another
// host.
package admin
