package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// manual prints the help of all commands as a manual page, in the language of man.
func (p *program) manual() error {
	parser, err := p.parser(io.Discard, func(int) {})
	if err != nil {
		return err
	}
	m := &manual{}
	m.say(".TH INVITEQ 1 \"\" \"inviteq %s\" \"User Commands\"\n", roff(version))
	m.section("NAME")
	m.text("inviteq - deliver Clerk invitations")
	m.section("SYNOPSIS")
	m.say(".B inviteq\n.I command\n[\\fIflags\\fR]\n")
	m.section("DESCRIPTION")
	m.text(description)
	for _, group := range groups {
		m.section(strings.ToUpper(strings.TrimSuffix(group.Title, ":")))
		for _, command := range parser.Model.Children {
			if command.Group != nil && command.Group.Key == group.Key {
				m.command(command)
			}
		}
	}
	m.section("EVERY COMMAND")
	for _, f := range parser.Model.Flags {
		m.flag(f)
	}
	m.section("EXIT STATUS")
	m.text("0 is done, 1 is failed, and 2 is bad usage or bad input: then nothing was done.")
	_, err = io.WriteString(p.console.out, m.b.String())
	return err
}

type manual struct{ b strings.Builder }

func (m *manual) say(format string, args ...any) { fmt.Fprintf(&m.b, format, args...) }
func (m *manual) section(name string)            { m.say(".SH %s\n", name) }

// text are paragraphs; those that are indented are examples.
func (m *manual) text(s string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		if strings.HasPrefix(paragraph, "  ") {
			m.say(".PP\n.nf\n%s\n.fi\n", roff(paragraph))
		} else {
			m.say(".PP\n%s\n", roff(paragraph))
		}
	}
}

func (m *manual) command(node *kong.Node) {
	if len(node.Children) == 0 || node.DefaultCmd != nil {
		m.say(".SS %s\n", roff(node.Summary()))
		m.text(node.Help)
		if node.Detail != "" {
			m.text(node.Detail)
		}
		for _, arg := range node.Positional {
			m.say(".TP\n.I %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
		}
		for _, f := range flagsOf(node) {
			if f.Name != "help" && f.Name != "env-file" {
				m.flag(f)
			}
		}
	}
	for _, child := range node.Children {
		if child != node.DefaultCmd {
			m.command(child)
		}
	}
}

func (m *manual) flag(f *kong.Flag) {
	m.say(".TP\n.B %s\n%s\n", roff(f.String()), roff(flagHelp(f.Value)))
}

// roff is text as man reads it.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
