package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string   `arg:"" enum:"bash,zsh,fish,words" help:"bash, zsh or fish; words prints what can follow the words after --."`
	Words []string `arg:"" optional:"" passthrough:"" hidden:"" help:"The command line so far, its last word perhaps unfinished."`
}

func (completionCommand) Help() string {
	return `Prints a script with which the shell completes commands, flags and their values.

Examples:

  source <(inviteq completion bash)
  inviteq completion zsh > "${fpath[1]}/_inviteq"
  inviteq completion fish > ~/.config/fish/completions/inviteq.fish`
}

// The scripts ask the program itself, so that they never lag behind it.
const (
	bashCompletion = `_inviteq() {
	local IFS=$'\n'
	COMPREPLY=($(inviteq completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
	if [ ${#COMPREPLY[@]} -eq 0 ]; then compopt -o default; fi
}
complete -F _inviteq inviteq
`
	zshCompletion = `#compdef inviteq
_inviteq() {
	local -a found
	local word
	for word in ${(f)"$(inviteq completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
		found+=("${${word%%$'\t'*}//:/\\:}:${word#*$'\t'}")
	done
	if (( ${#found} )); then _describe inviteq found; else _files; fi
}
if [ "${funcstack[1]}" = _inviteq ]; then _inviteq "$@"; else compdef _inviteq inviteq; fi
`
	fishCompletion = `function __inviteq_words
	set -l line (commandline -opc) (commandline -ct)
	inviteq completion words -- $line[2..] 2>/dev/null
end
complete -c inviteq -a '(__inviteq_words)'
`
)

// Run prints it.
func (c *completionCommand) Run(_ context.Context, p *program) error {
	script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	if ok {
		_, err := io.WriteString(p.console.out, script)
		return err
	}
	parser, err := p.parser(io.Discard, func(int) {})
	if err != nil {
		return err
	}
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, w := range completions(parser.Model.Node, words) {
		if _, err := fmt.Fprintf(p.console.out, "%s\t%s\n", w.word, w.help); err != nil {
			return err
		}
	}
	return nil
}

type completion struct{ word, help string }

// completions are what the last word may become: a command, a flag, or the value of a
// flag. None means a file, or something that only the user knows.
func completions(node *kong.Node, words []string) (found []completion) {
	last := ""
	if len(words) > 0 {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	var flag *kong.Flag // whose value comes next
	for _, w := range words {
		if flag != nil {
			flag = nil
		} else if name, isFlag := strings.CutPrefix(w, "--"); isFlag && !strings.Contains(name, "=") {
			if flag = flagNamed(node, name); flag != nil && flag.IsBool() {
				flag = nil
			}
		} else if child := childNamed(node, w); child != nil {
			node = child
		}
	}
	name, value, hasValue := strings.Cut(strings.TrimPrefix(last, "--"), "=")
	prefix := ""
	if hasValue && strings.HasPrefix(last, "--") {
		flag, last, prefix = flagNamed(node, name), value, "--"+name+"="
	}
	offer := func(word, help string) {
		if strings.HasPrefix(word, last) {
			help, _, _ = strings.Cut(help, "\n")
			found = append(found, completion{prefix + word, help})
		}
	}
	switch {
	case flag != nil:
		if flag.Enum != "" {
			for word := range strings.SplitSeq(flag.Enum, ",") {
				offer(word, "")
			}
		}
		return found
	case strings.HasPrefix(last, "-"):
		for _, f := range flagsOf(node) {
			offer("--"+f.Name, f.Help)
		}
		return found
	}
	for _, child := range node.Children {
		if !child.Hidden {
			offer(child.Name, child.Help)
		}
	}
	for _, arg := range node.Positional {
		if arg.Enum != "" {
			for word := range strings.SplitSeq(arg.Enum, ",") {
				offer(word, "")
			}
		}
	}
	return found
}

func childNamed(node *kong.Node, name string) *kong.Node {
	i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return node.Children[i]
}

// flagsOf are those of a command and of the commands above it. A command with a default
// has the flags of that one, too.
func flagsOf(node *kong.Node) (all []*kong.Flag) {
	for _, group := range node.AllFlags(true) {
		all = append(all, group...)
	}
	if node.DefaultCmd != nil {
		all = append(all, node.DefaultCmd.Flags...)
	}
	slices.SortFunc(all, func(a, b *kong.Flag) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func flagNamed(node *kong.Node, name string) *kong.Flag {
	for _, f := range flagsOf(node) {
		if f.Name == name {
			return f
		}
	}
	return nil
}

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command; without one, all commands are listed."`
	Man     bool     `help:"Print a manual page of all of it, for man."`
}

func (helpCommand) Help() string {
	return `The same as --help after a command.

Examples:

  inviteq help import
  inviteq help --man > /usr/local/share/man/man1/inviteq.1`
}

// Run prints the help.
func (c *helpCommand) Run(_ context.Context, p *program) error {
	if c.Man {
		return p.manual()
	}
	command, err := p.parse(append(c.Command, "--help"))
	if err == nil && command != nil {
		err = errors.New("no help was printed")
	}
	return err
}
