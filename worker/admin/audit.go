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

// auditOf is GET /audit.
func (h *Handler) auditOf(r *http.Request) (d auditData, err error) {
	if !h.mayOf(r).Audit {
		return d, refuse(http.StatusForbidden, "Only an admin sees the audit log; `inviteq audit log` shows it, too.")
	}
	if _, d.frame, err = h.open(r, "Audit log", "audit", ""); err != nil {
		return d, err
	}
	acts, err := h.cfg.Access.Store.LastActs(r.Context(), auditShown)
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
	return d, err
}
