package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// auditData is the page of the audit log.
type auditData struct {
	frame
	Acts []auditRow
}

type auditRow struct {
	At                               time.Time
	Who, Via, Remote, What           string
	About, Count, InviteID, ImportID string
}

const auditShown = 200

// audit is GET /audit.
func (h *Handler) audit(w http.ResponseWriter, r *http.Request) {
	m := h.mayOf(r)
	if !m.Audit {
		h.say(w, r, http.StatusForbidden, "Not permitted", "Only an admin sees the audit log; `inviteq audit log` shows it, too.")
		return
	}
	v, err := h.view(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	acts, err := h.cfg.Access.Store.LastActs(r.Context(), auditShown)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	d := auditData{frame: h.frame("Audit log", "audit", "", v, h.concerns(v, nil))}
	d.May = m
	for _, a := range acts {
		row := auditRow{At: a.At, Who: a.Who, Via: a.Via, Remote: a.Remote, What: a.What, About: a.About}
		if a.Count > 0 {
			row.Count = strconv.Itoa(a.Count)
		}
		switch {
		case strings.Contains(a.What, "import") || strings.HasPrefix(a.About, "imp_"):
			row.ImportID = a.About
		case strings.HasPrefix(a.About, "inq_") || a.What == "reveal":
			row.InviteID = a.About
		}
		d.Acts = append(d.Acts, row)
	}
	h.write(w, http.StatusOK, h.pages.audit, d)
}
