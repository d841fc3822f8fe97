package access

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Act is one line of the audit log: who has changed something, or has been shown an
// address. It holds no address and no secret.
type Act struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"`      // The name of the token; of a command: the user of the operating system.
	TokenID string    `json:"token_id"` // tok_…; "" without one.
	Via     string    `json:"via"`      // ViaAPI, ViaPage, ViaCommand or ViaAgent
	Remote  string    `json:"remote"`   // The IP address of the peer; "" of a command.
	What    string    `json:"what"`     // What was done, in a word or two, such as "revoke" or "reveal".
	About   string    `json:"about"`    // An id, or a keyed hash of a person (ledger.Person).
	Count   int       `json:"count"`    // Of invites; 0 if that means nothing here.
}

// Where an act comes from.
const (
	ViaAPI     = "api"
	ViaPage    = "page"
	ViaCommand = "command"
	ViaAgent   = "agent"
)

// ActsKept is about how many lines the audit log keeps. `inviteq audit log` exports
// them.
const ActsKept = 200_000

// maxActText is the longest text of a line, in bytes.
const maxActText = 256

// Note writes a line. What others have named is masked and cut.
func (s *Store) Note(ctx context.Context, a Act) error {
	values := []any{"who", plain(a.Who), "via", a.Via, "what", plain(a.What)}
	for _, f := range []struct{ name, value string }{{"token", a.TokenID}, {"remote", a.Remote}, {"about", a.About}} {
		if f.value != "" {
			values = append(values, f.name, plain(f.value))
		}
	}
	if a.Count != 0 {
		values = append(values, "count", a.Count)
	}
	return s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: s.audit, MaxLen: ActsKept, Approx: true, Values: values}).Err()
}

func plain(text string) string {
	return string(tasks.Mask([]byte(text[:min(len(text), maxActText)])))
}

// Acts yields the audit log from a time on, the oldest line first.
func (s *Store) Acts(ctx context.Context, since time.Time) iter.Seq2[Act, error] {
	return func(yield func(Act, error) bool) {
		from := "-"
		if !since.IsZero() {
			from = strconv.FormatInt(since.UnixMilli(), 10)
		}
		for {
			lines, err := s.rdb.XRangeN(ctx, s.audit, from, "+", 1000).Result()
			if err != nil {
				yield(Act{}, err)
				return
			}
			for _, m := range lines {
				if !yield(actOf(m), nil) {
					return
				}
				from = "(" + m.ID
			}
			if len(lines) == 0 {
				return
			}
		}
	}
}

// LastActs returns the last n lines, the newest first.
func (s *Store) LastActs(ctx context.Context, n int) ([]Act, error) {
	lines, err := s.rdb.XRevRangeN(ctx, s.audit, "+", "-", int64(n)).Result()
	acts := make([]Act, len(lines))
	for i, m := range lines {
		acts[i] = actOf(m)
	}
	return acts, err
}

func actOf(m redis.XMessage) Act {
	text := func(name string) string { s, _ := m.Values[name].(string); return s }
	ms := int64(0)
	for _, c := range []byte(m.ID) {
		if c < '0' || c > '9' {
			break
		}
		ms = 10*ms + int64(c-'0')
	}
	count, _ := strconv.Atoi(text("count"))
	return Act{
		At: time.UnixMilli(ms), Who: text("who"), TokenID: text("token"), Via: text("via"), Remote: text("remote"),
		What: text("what"), About: text("about"), Count: count,
	}
}
