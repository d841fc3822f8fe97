package clerksim

import (
	"net/http"
	"time"
)

// revoke revokes the invitation named in the path.
func (x *request) revoke(now time.Time) *answer {
	s := x.sim
	inv := s.live(x.id)
	if inv == nil {
		return s.noInvitation()
	}
	switch {
	case inv.status == revoked:
		return s.refuse(http.StatusBadRequest, string(s.cfg.Switches.RevokedCode), "already revoked", "The invitation has already been revoked.", nil)
	case inv.status == accepted:
		return s.refuse(http.StatusBadRequest, codeAlreadyAccepted, "already accepted", "The invitation has already been accepted.", nil)
	case inv.status == expired && s.cfg.Switches.RefuseRevokeExpired:
		return s.refuse(http.StatusBadRequest, codeAlreadyExpired, "expired", "The invitation has expired.", nil)
	}
	s.change(inv, revoked, now)
	return &answer{status: http.StatusOK, value: s.wire(inv.now())}
}

// delete deletes the invitation named in the path, whatever its status.
func (x *request) delete(now time.Time) *answer {
	s := x.sim
	inv := s.live(x.id)
	if inv == nil {
		return s.noInvitation()
	}
	last := s.wire(inv.now())
	s.change(inv, deleted, now)
	switch s.cfg.Switches.DeleteAnswer {
	case DeleteAnswerInvitation:
		return &answer{status: http.StatusOK, value: last}
	case DeleteAnswerEmpty:
		return &answer{status: http.StatusNoContent, raw: []byte{}}
	}
	return &answer{status: http.StatusOK, value: wireDeleted{Object: "invitation", ID: inv.id, Deleted: true}}
}

func (s *Sim) noInvitation() *answer {
	return s.refuse(http.StatusNotFound, codeNotFound, "not found", "No invitation was found with the given id.", nil)
}
