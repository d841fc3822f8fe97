package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// metadata of about 300 bytes.
func metadata(i int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"account":"acc_%08d","note":"%s","plan":"pro","role":"member"}`, i, strings.Repeat("x", 236)))
}

func used(t testing.TB, rdb *redis.Client) float64 {
	t.Helper()
	info, err := rdb.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	line, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.ParseFloat(line, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func manyInvites(t testing.TB, n int, lane tasks.Lane, importID string) []tasks.Invite {
	all := make([]tasks.Invite, n)
	for i := range all {
		all[i] = invite(t, fmt.Sprintf("guest%07d@example.com", i))
		all[i].PublicMetadata = metadata(i)
		all[i].Lane, all[i].ImportID = lane, importID
	}
	return all
}

// The address index spreads over a fixed number of hashes, which weigh more when
// they hold little: so a test of 20,000 has some slack, and the benchmark of
// 100,000 has none.
//
// An interactive invite should take 1.2 times of a bare task, and takes 1.5: record (450
// of the 891 bytes of a bare task), asynq task (486), place in the lane (120), hint that the
// task may be missing (120, until a handler has seen it) and address index (57). Record and
// task alone are more than a bare task.
const (
	importFloor, interactiveFloor = 0.8, 1.6
	interactiveAim                = 1.2
	slackOfFew                    = 0.1
)

func TestMemoryPerWaitingInvite(t *testing.T) {
	bare, imported, interactive := memoryPerInvite(t, 20_000)
	t.Logf("bytes a waiting invite: bare asynq %.0f, import %.0f (%.2f×), interactive %.0f (%.2f×)",
		bare, imported, imported/bare, interactive, interactive/bare)
	if most := importFloor + slackOfFew; imported > most*bare {
		t.Errorf("an import's invite takes %.2f× of a bare task, want at most %.1f×", imported/bare, most)
	}
	if most := interactiveFloor + slackOfFew; interactive > most*bare {
		t.Errorf("an interactive invite takes %.2f× of a bare task, want at most %.1f×", interactive/bare, most)
	}
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		bare, imported, interactive := memoryPerInvite(b, 100_000)
		b.ReportMetric(imported/bare, "x-import")
		b.ReportMetric(interactive/bare, "x-interactive")
		b.ReportMetric(0, "ns/op")
		row := func(what string, got, most float64) report.Row {
			return report.Row{
				Part: "memory a waiting invite, 300 B of metadata", What: what, Ours: fmt.Sprintf("%.0f B", got), Ratio: fmt.Sprintf("%.2f×", got/bare),
				Beside: []report.Reference{{Name: "bare asynq task", Value: fmt.Sprintf("%.0f B", bare)}},
			}.AtMost(got/bare, most, "%.1f×")
		}
		if err := report.Add(row("import", imported, importFloor), row("interactive", interactive, interactiveAim)); err != nil {
			b.Fatal(err)
		}
	}
}

// memoryPerInvite measures all keys of a fresh Redis with n invites, against bare
// asynq tasks that carry the same invites: bytes an invite.
func memoryPerInvite(t testing.TB, n int) (bare, imported, interactive float64) {
	t.Helper()
	measure := func(fill func(rdb *redis.Client)) float64 {
		t.Helper()
		rdb := redistest.Start(t).Client(t)
		before := used(t, rdb)
		fill(rdb)
		return (used(t, rdb) - before) / float64(n)
	}
	bare = measure(func(rdb *redis.Client) {
		c := asynq.NewClientFromRedisClient(rdb)
		for i, inv := range manyInvites(t, n, tasks.Interactive, "") {
			payload, err := json.Marshal(map[string]any{"email_address": inv.EmailAddress.Raw(), "public_metadata": metadata(i)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.EnqueueContext(t.Context(), asynq.NewTask("invite", payload)); err != nil {
				t.Fatal(err)
			}
		}
	})
	imported = measure(func(rdb *redis.Client) {
		l, err := Open(t.Context(), rdb, Config{})
		if err != nil {
			t.Fatal(err)
		}
		c := asynq.NewClientFromRedisClient(rdb)
		all := manyInvites(t, n, tasks.Import, "customers-2026-05")
		for from := 0; from < n; from += tasks.ChunkSize {
			_, chunk, err := l.Admit(t.Context(), start, all[from:min(n, from+tasks.ChunkSize)])
			if err != nil {
				t.Fatal(err)
			}
			payload, err := json.Marshal(chunk)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.EnqueueContext(t.Context(), asynq.NewTask("chunk", payload)); err != nil {
				t.Fatal(err)
			}
		}
	})
	interactive = measure(func(rdb *redis.Client) {
		l, err := Open(t.Context(), rdb, Config{})
		if err != nil {
			t.Fatal(err)
		}
		c := asynq.NewClientFromRedisClient(rdb)
		for _, i := range manyInvites(t, n, tasks.Interactive, "") {
			admit(t, l, start, i)
			if _, err := c.EnqueueContext(t.Context(), asynq.NewTask("create", []byte(`{"v":1,"id":"`+i.ID+`"}`)), asynq.TaskID(i.ID)); err != nil {
				t.Fatal(err)
			}
		}
	})
	return bare, imported, interactive
}
