package tasks

import "strings"

// Entry explains a word of a closed vocabulary (State, Reason, GateCause,
// HealthProblem) to a person who knows nothing of the protocol. Command line,
// status pages, README and Lua scripts take the words and these texts from here.
type Entry struct {
	Means string // What it means: a sentence.
	Do    string // What to do: sentences; "Nothing." where nothing has to be done.
}

// String is what it means, and what to do if anything has to be done.
func (e Entry) String() string {
	return strings.TrimSpace(e.Means + strings.TrimPrefix(" "+e.Do, " "+nothing))
}

const (
	nothing     = "Nothing."
	inviteAgain = "Invite the person again, if you still want to."
	keepsTurn   = "Nothing. It keeps its place, and waiting does not count as an attempt."
	looksItUp   = "Nothing. A worker looks it up in Clerk's list, which takes seconds to minutes."
)

// vocabulary is a table of words, in the order in which people are shown them.
type vocabulary[W ~string] []struct {
	word W
	Entry
}

func (v vocabulary[W]) words() []W {
	all := make([]W, len(v))
	for i, row := range v {
		all[i] = row.word
	}
	return all
}

// entry is empty for "" and for a word that this version does not know.
func (v vocabulary[W]) entry(word W) Entry {
	for _, row := range v {
		if row.word == word {
			return row.Entry
		}
	}
	return Entry{}
}

// String lists the words.
func (v vocabulary[W]) String() string {
	var b strings.Builder
	for i, row := range v {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(row.word))
	}
	return b.String()
}
