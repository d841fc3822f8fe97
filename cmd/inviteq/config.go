package main

import (
	"context"
	"io"
	"strings"

	"github.com/inviteq/inviteq/tasks/redisconn"
)

type configCommand struct {
	Command []string `arg:"" optional:"" help:"Of which command; worker if it is left out."`
	jsonFlag
}

func (configCommand) Help() string {
	return `Shows every variable that a command reads: its value, and whether that comes from the environment, from --env-file, or is the default. Secrets are not shown, only whether they are set; of REDIS_URL the place is shown. What is wrong with the configuration is said as the command itself would say it.

Examples:

  inviteq config
  inviteq config api --json
  inviteq --env-file production.env config worker`
}

// settingJSON is one variable in --json. The keys are stable and always there.
type settingJSON struct {
	Variable string `json:"variable"`
	Flag     string `json:"flag"`  // "" if there is none: secrets come by variables only
	Value    string `json:"value"` // of a secret: "set", or ""
	From     string `json:"from"`  // default, environment, file, or "" if nothing says anything
}

// Run prints them.
func (c *configCommand) Run(_ context.Context, p *program) error {
	parser, err := p.parser(io.Discard, func(int) {})
	if err != nil {
		return err
	}
	words := c.Command
	if len(words) == 0 {
		words = []string{"worker"}
	}
	node := parser.Model.Node
	for _, w := range words {
		if node = childNamed(node, w); node == nil {
			return usagef("there is no command %s; `inviteq help` lists them", strings.Join(words, " "))
		}
	}
	var all []settingJSON
	for _, s := range secrets {
		if s.of == "" || s.of == words[0] {
			all = append(all, p.secretSetting(s.name))
		}
	}
	seen := map[string]bool{}
	for _, f := range flagsOf(node) {
		name := variableOf(f)
		if name == "" || name == flagPrefix+"ENV_FILE" || seen[name] {
			continue
		}
		seen[name] = true
		s := settingJSON{Variable: name, Flag: "--" + f.Name, Value: f.Default, From: "default"}
		if f.IsBool() && s.Value == "" {
			s.Value = "false"
		}
		if value := p.env[name]; value != "" {
			s.Value, s.From = value, p.origin(name)
			p.complaints.add(wrongVariable(name, readable(f, value)))
		}
		all = append(all, s)
	}
	if err := p.printSettings(all, c.JSON); err != nil {
		return err
	}
	return p.complaints.usage()
}

func (p *program) origin(name string) string {
	if p.fromFile[name] {
		return "file"
	}
	return "environment"
}

// secretSetting says whether a secret is set, and where Redis is.
func (p *program) secretSetting(name string) settingJSON {
	s := settingJSON{Variable: name}
	value, err := p.env.secret(name)
	p.complaints.add(err)
	switch {
	case p.env[name] != "":
		s.From = p.origin(name)
	case p.env[name+"_FILE"] != "":
		s.Variable += "_FILE"
		s.From = p.origin(name + "_FILE")
	}
	switch {
	case name == "REDIS_URL":
		if value == "" {
			s.From = "default"
		}
		opts, err := redisconn.Parse(value, p.redisFiles)
		p.complaints.add(err)
		if err == nil {
			s.Value = redisconn.Place(opts)
		}
	case value != "":
		s.Value = "set"
	}
	return s
}

func (p *program) printSettings(all []settingJSON, asJSON bool) error {
	var t table
	t.header("variable", "value", "from")
	for _, s := range all {
		if asJSON {
			if err := p.printJSON(s); err != nil {
				return err
			}
			continue
		}
		from := text(s.From)
		if s.From != "default" && s.From != "" {
			from = from.in(p.console.onOut.bold)
		}
		value := s.Value
		if value == "" {
			value = "–"
		}
		t.row(text(s.Variable), text(value), from)
	}
	if asJSON {
		return nil
	}
	return t.print(p.console.out, p.console.onOut)
}
