package ledger

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
)

var spelt = regexp.MustCompile(`\b[KRW]\.\w+`)

// spell writes every name into a script, where it is a constant then, and a
// producer does not wait for the making of a table: K.name is a key in full,
// R.word a reason, W.word what a turn waits for. A word that Go does not know is
// an error. The table of keys comes too if the script also chooses keys as it
// runs.
func (k keys) spell(src string) (string, error) {
	var err error
	src = spelt.ReplaceAllStringFunc(src, func(name string) string {
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
	if strings.Contains(src, "K[") {
		src = k.prelude() + src
	}
	return src, err
}
