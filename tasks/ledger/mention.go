package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Mention is a place in Redis where an address stands.
type Mention struct {
	Key   string // As it is: it may hold the address.
	Type  string // Of the key, as Redis names it.
	Field string // Of a hash, the member of a set, the place in a list, the position in a stream; "" if it is the key.
}

// String names the place without the address.
func (m Mention) String() string {
	return string(tasks.Mask([]byte(strings.TrimSpace(m.Type + " " + m.Key + " " + m.Field))))
}

// Mentions searches everything of this instance that is in Redis for an address: its
// own keys, and those of its asynq queues, byte by byte. It takes about a second for
// 200,000 invites, and Redis works for others meanwhile.
func (l *Ledger) Mentions(ctx context.Context, e tasks.Email) ([]Mention, error) {
	patterns := []string{escapePattern(l.keys.prefix) + "*"}
	for _, q := range tasks.QueuesOf(l.cfg.Instance).Names() {
		patterns = append(patterns, escapePattern("asynq:{"+q+"}:")+"*")
	}
	s := searcher{forms: formsOf(e)}
	for _, pattern := range patterns {
		if err := l.eachKey(ctx, pattern, s.searchAll); err != nil {
			return s.found, err
		}
	}
	return s.found, nil
}

// eachKey goes through all keys that a pattern names, some at a time, wherever they lie.
func (l *Ledger) eachKey(ctx context.Context, pattern string, do func(context.Context, redis.UniversalClient, []string) error) error {
	scan := func(ctx context.Context, rdb redis.UniversalClient) error {
		for cursor := uint64(0); ; {
			keys, next, err := rdb.Scan(ctx, cursor, pattern, searchAtOnce).Result()
			if err == nil && len(keys) > 0 {
				err = do(ctx, rdb, keys)
			}
			if err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	cluster, ok := l.rdb.(*redis.ClusterClient)
	if !ok {
		return scan(ctx, l.rdb)
	}
	var one sync.Mutex // The masters are searched one after the other.
	return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		return scan(ctx, c)
	})
}

// escapePattern makes Redis take a text as it is.
func escapePattern(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

// formsOf are the ways in which an address may be written, in lower case.
func formsOf(e tasks.Email) []string {
	var forms []string
	for _, s := range []string{strings.ToLower(e.Raw()), e.Key()} {
		quoted, _ := json.Marshal(s)
		var ascii strings.Builder
		for _, r := range strings.Trim(string(quoted), `"`) {
			if r > 127 {
				fmt.Fprintf(&ascii, `\u%04x`, r)
			} else {
				ascii.WriteRune(r)
			}
		}
		forms = append(forms, s, strings.Trim(string(quoted), `"`), ascii.String(), strings.ToLower(url.QueryEscape(s)), strings.ReplaceAll(s, "@", "%40"), strings.ReplaceAll(s, "@", `\u0040`))
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// searcher collects what it finds.
type searcher struct {
	forms []string
	found []Mention
}

// in reports whether a text holds the address, and not as a part of a longer one. In
// what is packed (protobuf) any byte may stand before it behind a tag: a length.
func (s *searcher) in(text string, packed bool) bool {
	text = strings.ToLower(text)
	for _, form := range s.forms {
		for from := 0; ; {
			n := strings.Index(text[from:], form)
			if n < 0 {
				break
			}
			n += from
			from = n + 1
			end := n + len(form)
			if (n == 0 || !partOfAddress(text[n-1]) || packed && n > 1 && text[n-2] < ' ') && (end == len(text) || !partOfAddress(text[end]) || text[end] == '.' && !dotGoesOn(text[end+1:])) {
				return true
			}
		}
	}
	return false
}

func partOfAddress(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '+' || c == '.' || c >= 0x80
}

func dotGoesOn(s string) bool { return s != "" && partOfAddress(s[0]) && s[0] != '.' }

// Mentioned reports whether a text holds an address, however it is written.
func Mentioned(e tasks.Email, text string) bool {
	s := searcher{forms: formsOf(e)}
	return s.in(text, false)
}

const searchAtOnce = 1000

func (s *searcher) searchAll(ctx context.Context, rdb redis.UniversalClient, keys []string) error {
	pipe := rdb.Pipeline()
	types := make([]*redis.StatusCmd, len(keys))
	for n, key := range keys {
		types[n] = pipe.Type(ctx, key)
	}
	if err := execute(ctx, pipe); err != nil {
		return err
	}
	for n, key := range keys {
		if err := s.search(ctx, rdb, key, types[n].Val()); err != nil {
			return err
		}
	}
	return nil
}

// search looks into one key.
func (s *searcher) search(ctx context.Context, rdb redis.UniversalClient, key, kind string) error {
	packed := strings.HasPrefix(key, "asynq:")
	look := func(field string, texts ...string) {
		if slices.ContainsFunc(texts, func(text string) bool { return s.in(text, packed) }) {
			s.found = append(s.found, Mention{key, kind, field})
		}
	}
	look("", key)
	switch kind {
	case "string":
		text, err := rdb.Get(ctx, key).Result()
		look("", text)
		return ignoreNil(err)
	case "list":
		for start := int64(0); ; start += searchAtOnce {
			members, err := rdb.LRange(ctx, key, start, start+searchAtOnce-1).Result()
			for n, m := range members {
				look(fmt.Sprint(start+int64(n)), m)
			}
			if err != nil || len(members) == 0 {
				return err
			}
		}
	case "stream":
		for from := "-"; ; {
			entries, err := rdb.XRangeN(ctx, key, from, "+", searchAtOnce).Result()
			for _, entry := range entries {
				for _, value := range entry.Values {
					if text, _ := value.(string); s.in(text, packed) {
						look(entry.ID, text)
						break
					}
				}
				from = "(" + entry.ID
			}
			if err != nil || len(entries) == 0 {
				return err
			}
		}
	}
	scan := map[string]func(cursor uint64) (page []string, next uint64, err error){
		"hash": func(cursor uint64) ([]string, uint64, error) {
			return rdb.HScan(ctx, key, cursor, "", searchAtOnce).Result()
		},
		"zset": func(cursor uint64) ([]string, uint64, error) {
			return rdb.ZScan(ctx, key, cursor, "", searchAtOnce).Result()
		},
		"set": func(cursor uint64) ([]string, uint64, error) {
			members, next, err := rdb.SScan(ctx, key, cursor, "", searchAtOnce).Result()
			pairs := make([]string, 0, 2*len(members))
			for _, m := range members {
				pairs = append(pairs, m, "")
			}
			return pairs, next, err
		},
	}[kind]
	if scan == nil {
		return nil // It went, or is of a kind that neither inviteq nor asynq has.
	}
	for cursor := uint64(0); ; {
		pairs, next, err := scan(cursor)
		if err != nil {
			return err
		}
		for n := 0; n+1 < len(pairs); n += 2 {
			look(pairs[n], pairs[n], pairs[n+1])
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// ForgetMention takes an address out of one place, if that can be done without touching
// what belongs to others: not out of another person's invite, and not out of a task of
// asynq. Where there is an invite for the address that no index led to, it is forgotten.
func (l *Ledger) ForgetMention(ctx context.Context, m Mention, e tasks.Email) error {
	name := strings.TrimPrefix(m.Key, l.keys.prefix)
	switch {
	case m.Key == l.keys.of("rec"):
		value, err := l.rdb.HGet(ctx, m.Key, m.Field).Result()
		if err != nil {
			return ignoreNil(err)
		}
		if r, err := l.parse(ctx, m.Field, value); err == nil && r.Invite.EmailAddress.Key() != e.Key() {
			return nil
		}
		_, err = l.ForgetInvite(ctx, Now, m.Field)
		return err
	case m.Type == "stream" && m.Field != "":
		return l.rdb.XDel(ctx, m.Key, m.Field).Err()
	case strings.HasPrefix(name, "ids:") && m.Field != "": // An id of before ids had rules; its place in the list stays.
		return l.rdb.LSet(ctx, m.Key, number(m.Field), "inq_forgotten").Err()
	case strings.HasPrefix(name, "tomb:"), strings.HasPrefix(name, "bound:"), strings.HasPrefix(name, "done:"), strings.HasPrefix(name, "found:"):
		return l.rdb.Del(ctx, m.Key).Err()
	}
	return nil
}
