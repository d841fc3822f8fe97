package ledger

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

var names = regexp.MustCompile(`\b[KRW]\.\w+`)

// speltParts keeps what spelt has made, for a process that opens a ledger often: its
// tests. The key is the prefix and the part.
var speltParts sync.Map

// spelt returns a part of the scripts with its keys spelt.
func (k keys) spelt(part string) (string, error) {
	if src, ok := speltParts.Load(k.prefix + part); ok {
		return src.(string), nil //nolint:forcetypeassert // nothing else is stored
	}
	src := policy.Lua
	if part != policyPart {
		b, err := scripts.ReadFile(part + ".lua")
		if err != nil {
			return "", err
		}
		src = string(b)
	}
	src, err := k.spell(src)
	if err == nil {
		speltParts.Store(k.prefix+part, src)
	}
	return src, err
}

// spell writes every name into a script, where it is a constant then, and a
// producer does not wait for the making of a table: K.name is a key in full,
// R.word a reason, W.word what a turn waits for. A word that Go does not know is
// an error.
func (k keys) spell(src string) (string, error) {
	var err error
	src = names.ReplaceAllStringFunc(src, func(name string) string {
		word, known := name[len("K."):], false
		switch name[0] {
		case 'K':
			word = k.of(word)
			known = !strings.HasPrefix(word, k.prefix+misspelt)
		case 'R':
			known = slices.Contains(tasks.Reasons(), tasks.Reason(word))
		case 'W':
			known = slices.Contains(waits, Wait(word))
		}
		if !known {
			err = fmt.Errorf("there is no %s", name)
		}
		return "'" + word + "'"
	})
	return src, err
}
