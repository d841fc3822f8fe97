package tasks

// GateCause says why a gate is closed: why no worker calls an endpoint of
// Clerk's, or Clerk at all. It is a stable word.
type GateCause string

const (
	CauseQuota        GateCause = "quota"        // closes one endpoint
	CauseOverload     GateCause = "overload"     // closes one endpoint
	CauseBulkRefused  GateCause = "bulk_refused" // makes bulk calls smaller, then closes their endpoint
	CauseUnauthorized GateCause = "unauthorized" // closes everything
	CauseEdgeBlocked  GateCause = "edge_blocked" // closes everything
	CauseRedirected   GateCause = "redirected"   // closes everything
)

// gateCauses explains every cause.
var gateCauses = vocabulary[GateCause]{
	{CauseQuota, Entry{
		"Clerk answered 429 although inviteq's log had room: another program uses the key, or the limits are lower than configured.",
		"Find the other program, or lower INVITEQ_LIMIT_SINGLE and INVITEQ_LIMIT_BULK. Workers space their calls evenly until a day has passed without such a 429.",
	}},
	{CauseOverload, Entry{
		"Clerk answers 429 without a time to wait, as it does when it is down.",
		"Nothing. Workers try again by themselves, and no attempt is counted. See status.clerk.com.",
	}},
	{CauseBulkRefused, Entry{
		"Clerk refuses bulk calls, whatever invites they hold. Bulk calls are half as big for an hour, a quarter if that does not help, and in the end each invite goes alone.",
		"Wait an hour or two: no invite is lost, but fewer go in an hour. If it comes back, see whether Clerk has changed its bulk calls, and look for a newer version of inviteq.",
	}},
	{CauseUnauthorized, Entry{
		"Clerk refuses the secret key: it is wrong, or was rotated.",
		"Check CLERK_SECRET_KEY and restart the workers. Waiting invites keep their place.",
	}},
	{CauseEdgeBlocked, Entry{
		"The network edge in front of Clerk turns the workers away.",
		"Check CLERK_API_URL and the network between the workers and Clerk. Waiting invites keep their place.",
	}},
	{CauseRedirected, Entry{
		"Clerk's address redirects to another one, which workers do not follow.",
		"Check CLERK_API_URL. Waiting invites keep their place.",
	}},
}

// GateCauses lists every cause.
func GateCauses() []GateCause { return gateCauses.words() }

// Entry explains the cause. It is empty for "" and for a word that this version
// does not know.
func (c GateCause) Entry() Entry { return gateCauses.entry(c) }

// Reason is the reason of the invites whose call has closed the gate.
func (c GateCause) Reason() Reason { return Reason(c) }
