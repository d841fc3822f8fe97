package worker

import (
	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
)

// gateCauses names why an answer of Clerk's closes a gate. The invites of such a
// call wait for the same reason.
var gateCauses = map[clerk.Kind]tasks.GateCause{
	clerk.KindQuota:        tasks.CauseQuota,
	clerk.KindOverload:     tasks.CauseOverload,
	clerk.KindUnauthorized: tasks.CauseUnauthorized,
	clerk.KindEdgeBlocked:  tasks.CauseEdgeBlocked,
	clerk.KindRedirected:   tasks.CauseRedirected,
}
