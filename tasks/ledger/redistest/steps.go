package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// CheckSteps holds the events of every ledger that a Redis has against the table
// of permitted steps (tasks.Steps). Main calls it for the shared server; a test
// whose Redis is its own calls it at its end.
func CheckSteps(ctx context.Context, rdb redis.UniversalClient) error {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return CheckSteps(ctx, node) })
	}
	var wrong []error
	told := map[string]bool{} // a wrong step is told once
	streams := rdb.ScanType(ctx, 0, "*:events", 1000, "stream").Iterator()
	for streams.Next(ctx) {
		key := streams.Val()
		kept, err := rdb.XLen(ctx, key).Result()
		if err != nil {
			return err
		}
		history := tasks.History{Partial: kept >= eventsKept}
		for from := "-"; from != ""; {
			messages, err := rdb.XRangeN(ctx, key, from, "+", eventsAtOnce).Result()
			if err != nil {
				return err
			}
			from = ""
			for _, m := range messages {
				from = "(" + m.ID
				e := eventOf(m)
				err := history.Add(e)
				if step := e.From + e.To + string(e.Reason); err != nil && !told[step] {
					told[step] = true
					wrong = append(wrong, fmt.Errorf("%s%s: %w", key, madeBy(key), err))
				}
			}
		}
	}
	return errors.Join(append(wrong, streams.Err())...)
}

const (
	eventsKept   = 100_000 // by a ledger, roughly
	eventsAtOnce = 1000    // a slow connection carries no more in time
)

func eventOf(m redis.XMessage) tasks.Event {
	field := func(name string) string { s, _ := m.Values[name].(string); return s }
	version, _ := strconv.Atoi(field("ver"))
	return tasks.Event{InviteID: field("id"), Version: version, From: field("from"), To: field("to"), Reason: tasks.Reason(field("reason"))}
}

// madeBy names the test that has made the instance of a key.
func madeBy(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	instance, _, _ := strings.Cut(rest, "}")
	if test, known := shared.tests.Load(instance); known {
		return fmt.Sprintf(" (%s)", test)
	}
	return ""
}

// sharedSteps checks the shared server when the tests have ended.
func sharedSteps() bool {
	rdb := redis.NewClient(shared.server.Options().Simple())
	defer rdb.Close()
	if err := CheckSteps(context.Background(), rdb); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: an invite has gone a way that is not in the table of tasks/step.go:\n%v\n", err)
		return false
	}
	return true
}
