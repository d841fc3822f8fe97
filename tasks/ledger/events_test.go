package ledger

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestEventsReachAGroupOnceAndOutliveAConsumer(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	i := invite(t, "ada@example.com")
	i.Lane, i.ImportID = tasks.Import, "imp"
	admit(t, l, start, i)
	delivered(t, l, start, turn(t, l, start))

	read := func(consumer string, n int) (got []string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for e, err := range l.ConsumeEvents(ctx, "g", consumer) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.InviteID+e.ImportID+" "+e.From+"→"+e.To)
			if len(got) == n {
				break // The last one is not confirmed.
			}
		}
		return got
	}
	want := []string{i.ID + "imp queued→sending", i.ID + "imp sending→pending", "imp →import_completed"}
	if got := read("a", 2); !slices.Equal(got, want[:2]) {
		t.Errorf("got %q, want %q", got, want[:2])
	}
	// The same consumer, restarted, goes on with what it has not confirmed.
	if got := read("a", 2); !slices.Equal(got, want[1:]) {
		t.Errorf("after a restart: got %q, want %q", got, want[1:])
	}
	recent, err := l.RecentEvents(t.Context(), 10)
	if err != nil || len(recent) != 3 || recent[1].ID != i.ID+":2" || !recent[1].At.Equal(start) {
		t.Errorf("got %+v, %v", recent, err)
	}
}

// What a consumer was given and has not confirmed goes to another one when it has
// been silent for a minute, and not before.
func TestEventsOfADeadConsumer(t *testing.T) {
	l := open(t, Config{})
	i := invite(t, "ada@example.com")
	admit(t, l, start, i)
	delivered(t, l, start, turn(t, l, start))
	first := func(consumer string) (got tasks.Event) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for e, err := range l.ConsumeEvents(ctx, "g", consumer) {
			if err != nil {
				t.Fatal(err)
			}
			got = e
			break // It dies with it.
		}
		return got
	}
	left := first("dies")
	if left.To != "sending" {
		t.Fatalf("got %+v", left)
	}
	key := l.keys.of("events")
	silent := func(d time.Duration) {
		t.Helper()
		err := l.rdb.Do(t.Context(), "XCLAIM", key, "g", "dies", "0", left.Position, "IDLE", d.Milliseconds(), "JUSTID").Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	// The other event had been read ahead; it is the dead one's, too.
	silent(eventsIdle / 2)
	if got := first("lives"); got.ID != "" {
		t.Errorf("after half a minute another one gets %+v", got)
	}
	silent(eventsIdle)
	if got := first("lives"); got.ID != left.ID {
		t.Errorf("got %+v, want what was left: %+v", got, left)
	}
}

// Each start of a worker is another consumer: those of long ago that hold nothing go,
// those that hold something stay, and so do the living.
func TestConsumersDoNotPileUp(t *testing.T) {
	l := open(t, Config{})
	admit(t, l, start, invite(t, "ada@example.com"))
	delivered(t, l, start, turn(t, l, start))
	key := l.keys.of("events")
	must(t, l.makeGroup(t.Context(), key, "g"))
	for _, name := range []string{"gone", "holds", "lives"} {
		must(t, l.rdb.XGroupCreateConsumer(t.Context(), key, "g", name).Err())
	}
	must(t, l.rdb.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "holds", Streams: []string{key, ">"}, Count: 1}).Err())
	<-time.After(2500 * time.Millisecond) // Redis' own time.
	must(t, l.rdb.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "lives", Streams: []string{key, "0"}}).Err())
	l.forgetConsumers(t.Context(), key, "g", 2*time.Second)
	var left []string
	for _, c := range l.rdb.XInfoConsumers(t.Context(), key, "g").Val() {
		left = append(left, c.Name)
	}
	if !slices.Equal(left, []string{"holds", "lives"}) {
		t.Errorf("left are %v", left)
	}
}

// A group that goes because Redis is emptied is made again, under the consumer.
func TestEventsAfterAWipe(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	l, err := Open(t.Context(), rdb, Config{Instance: "wiped"})
	if err != nil {
		t.Fatal(err)
	}
	send := func(address string) string {
		t.Helper()
		i := invite(t, address)
		admit(t, l, start, i)
		delivered(t, l, start, turn(t, l, start))
		return i.ID
	}
	ids := []string{send("ada@example.com")}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	for e, err := range l.ConsumeEvents(ctx, "g", "c") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.InviteID+" "+e.To)
		if len(got) == 2 {
			if err := rdb.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			pulse, err := l.Beat(t.Context(), start, "")
			if err != nil || !pulse.Began || len(pulse.Epochs) != 1 {
				t.Fatalf("got %+v, %v; want an epoch", pulse, err)
			}
			if err := l.Recover(t.Context(), start, pulse.Epochs[0], nil); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, send("grace@example.com"))
		}
		if len(got) == 4 {
			break
		}
	}
	before, after := ids[0], ids[1]
	if want := []string{before + " sending", before + " pending", after + " sending", after + " pending"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whoever follows from a position that is gone is told, and "$" misses nothing of what
// comes while Redis is asked again.
func TestFollowEventsFromWhereNothingIs(t *testing.T) {
	l := open(t, Config{})
	first := func(from string) (tasks.Event, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for e, err := range l.FollowEvents(ctx, from) {
			return e, err
		}
		return tasks.Event{}, nil
	}
	if p, err := l.EventPosition(t.Context(), "$"); p != "0" || err != nil {
		t.Errorf("the newest of none is %q, %v", p, err)
	}
	admit(t, l, start, invite(t, "ada@example.com"))
	delivered(t, l, start, turn(t, l, start))
	all, err := l.RecentEvents(t.Context(), 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	if e, err := first(all[0].Position); e != all[1] || err != nil {
		t.Errorf("after the first: %+v, %v", e, err)
	}
	if p, err := l.EventPosition(t.Context(), "$"); p != all[1].Position || err != nil {
		t.Errorf("the newest is %q, %v", p, err)
	}
	for _, from := range []string{"1-1", "", "latest"} {
		if e, err := first(from); !errors.Is(err, ErrPositionGone) {
			t.Errorf("from %q: %+v, %v", from, e, err)
		}
	}
	if e, err := first("0"); e != all[0] || err != nil {
		t.Errorf("the oldest is %+v, %v", e, err)
	}
}
