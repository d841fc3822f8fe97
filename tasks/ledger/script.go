package ledger

import (
	"context"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed *.lua
var scripts embed.FS

// parts says which shared files stand before each script, in this order.
var parts = map[string][]string{
	"admit": nil, "one": nil, // They have no record to parse, and a producer waits for them.
	"turn": {"lib", policyPart, "libcancel"}, "settle": {"lib", policyPart, "libgate", "libtoken"}, "gate": {"lib", policyPart, "libgate"},
	"topup": {"lib"}, "cancel": {"lib", "libcancel"}, "sweep": {"lib", "libcancel"}, "requeue": {"lib"}, "due": {"lib", "libcancel"}, "observe": {"lib"}, "spend": {"lib"}, "adopt": {"lib"}, "trim": {"lib", "libforget"}, "forget": {"lib", "libcancel", "libforget"},
	"beat": {"lib"}, "recover": {"lib", policyPart}, "unwatch": {"lib"}, "wish": {"lib"}, "stop": {"lib"}, "reindex": {"lib"},
	"note": nil, "sample": {"lib"}, "salt": nil, "rekey": {"lib", "libforget"},
}

const policyPart = "policy"

// growing are the scripts that add records. A full Redis refuses them before they
// begin; it lets all others run, because they carry what it has to its end. They
// need some memory beyond maxmemory: see deployments/redis.conf.
var growing = []string{"admit", "one", "adopt"}

// loadScripts puts the scripts together. With flags, which Redis knows since 7.0,
// a script that Redis will not carry out to its end is refused before it begins:
// for want of memory, of replicas or of a disk by the server, for want of a right
// by what guard writes. An older server may refuse one in its middle; there the
// rights cannot be asked for.
func (l *Ledger) loadScripts() error {
	for name := range parts {
		src, err := l.source(name)
		if err != nil {
			return fmt.Errorf("script %s: %w", name, err)
		}
		if l.flags {
			src = header(name) + guard(src) + src
		}
		l.code[name] = redis.NewScript(src)
	}
	return nil
}

// source is a script with its parts before it, and its keys spelt. The table of keys
// comes too if it also chooses keys as it runs.
func (l *Ledger) source(name string) (string, error) {
	var src strings.Builder
	for _, part := range append(slices.Clone(parts[name]), name) {
		body, err := l.keys.spelt(part)
		if err != nil {
			return "", err
		}
		src.WriteString(body)
	}
	if strings.Contains(src.String(), "K[") {
		return l.keys.prelude() + src.String(), nil
	}
	return src.String(), nil
}

func header(name string) string {
	if slices.Contains(growing, name) {
		return "#!lua\n"
	}
	return "#!lua flags=allow-oom\n"
}

var scriptCall = regexp.MustCompile(`redis\.call\('([A-Z]+)'`)

// commandsOf lists the commands that a script may call.
func commandsOf(src string) []string {
	var names []string
	for _, match := range scriptCall.FindAllStringSubmatch(src, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// guard is the line that asks for the right to each command before any of them
// is called (0.8 µs each, Redis 7.0.15).
func guard(src string) string {
	names := commandsOf(src)
	if len(names) == 0 {
		return ""
	}
	return "for _, c in ipairs({'" + strings.Join(names, "', '") + "'}) do if not redis.acl_check_cmd(c, KEYS[1]) then " +
		"return redis.error_reply('NOPERM this user has no permissions to run the \\'' .. c .. '\\' command') end end\n"
}

func (l *Ledger) run(ctx context.Context, script string, args ...any) *redis.Cmd {
	return l.code[script].Run(ctx, l.rdb, []string{l.keys.prefix}, args...)
}

// note sets fields of a hash that does not grow with the invites, also while
// Redis is full.
func (l *Ledger) note(ctx context.Context, key string, fields ...any) error {
	return l.run(ctx, "note", append([]any{key}, fields...)...).Err()
}
