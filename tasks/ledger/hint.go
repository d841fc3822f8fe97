package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/inviteq/inviteq/tasks"
)

// A hint names a task that a record needs: "c:" and an invite's id, "b:" with
// position, count and id of an import, or "r:" and the id of a revoke request.
// admit.lua writes the first two, RequestRevoke the last.

func cutHint(hint, kind string) (string, bool) { return strings.CutPrefix(hint, kind) }

func revokeHint(id string) string { return "r:" + id }

func chunkHint(c tasks.BulkCreate) string {
	return fmt.Sprintf("b:%d:%d:%s", c.From, c.Count, c.ImportID)
}

func parseChunkHint(hint string) (tasks.BulkCreate, bool) {
	rest, ok := cutHint(hint, "b:")
	f := strings.SplitN(rest, ":", 3)
	if !ok || len(f) != 3 {
		return tasks.BulkCreate{}, false
	}
	from, err1 := strconv.Atoi(f[0])
	count, err2 := strconv.Atoi(f[1])
	return tasks.BulkCreate{ImportID: f[2], From: from, Count: count}, err1 == nil && err2 == nil
}
