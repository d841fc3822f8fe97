package clerksim

import (
	"net/http"
	"time"
)

// revoke revokes the invitation named in the path.
func (x *exchange) revoke(now time.Time) *answer {
	s := x.sim
	inv := s.byID[x.id]
	if inv == nil {
		return s.refuse(http.StatusNotFound, codeNotFound, "not found", "No invitation was found with the given id.", nil)
	}
	switch {
	case inv.status == revoked:
		return s.refuse(http.StatusBadRequest, codeAlreadyRevoked, "already revoked", "The invitation has already been revoked.", nil)
	case inv.status == accepted:
		return s.refuse(http.StatusBadRequest, codeAlreadyAccepted, "already accepted", "The invitation has already been accepted.", nil)
	case inv.status == expired && s.cfg.Switches.RefuseRevokeExpired:
		return s.refuse(http.StatusBadRequest, codeAlreadyExpired, "expired", "The invitation has expired.", nil)
	}
	s.change(inv, revoked, now.UnixMilli())
	return &answer{status: http.StatusOK, value: s.wire(inv.now())}
}
