package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/joho/godotenv"
)

// environment is that of the process, as a value, so that a run can be tested.
type environment map[string]string

func newEnvironment(environ []string) environment {
	e := make(environment, len(environ))
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		e[name] = value
	}
	return e
}

// readEnvFile adds the variables of a file that the environment does not have. The
// file is needed before the command line can be read, because flags get their values
// from variables.
func (p *program) readEnvFile(args []string) error {
	path := p.env[flagPrefix+"ENV_FILE"]
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--env-file="); ok {
			path = value
		} else if arg == "--env-file" && i+1 < len(args) {
			path = args[i+1]
		} else if arg == "--" {
			break
		}
	}
	if path == "" {
		return nil
	}
	read, err := godotenv.Read(path)
	if err != nil {
		// What it quotes may be a secret.
		if _, isPath := errors.AsType[*os.PathError](err); !isPath {
			err = errors.New("a line is not NAME=value")
		}
		return usagef("--env-file ($INVITEQ_ENV_FILE): %s cannot be read: %w", path, innermost(err))
	}
	for name, value := range read {
		if _, known := p.env[name]; !known {
			p.env[name] = value
			p.fromFile[name] = true
		}
	}
	return nil
}

// flagPrefix begins the variable of every flag that has no name of its own.
const flagPrefix = "INVITEQ_"

// variableOf names the environment variable that stands for a flag; "" when
// there is none. A flag's tag may name another one.
func variableOf(f *kong.Flag) string {
	switch name := f.Tag.Get("variable"); {
	case f.Name == "help" || name == "-":
		return ""
	case name != "":
		return name
	}
	return flagPrefix + strings.ToUpper(underscored(f.Name))
}

func underscored(s string) string { return strings.ReplaceAll(s, "-", "_") }
func dashed(s string) string      { return strings.ReplaceAll(s, "_", "-") }

// flagHelp adds default and variable to the help of a flag.
func flagHelp(v *kong.Value) string {
	if v.Flag == nil || variableOf(v.Flag) == "" {
		return v.Help
	}
	note := "$" + variableOf(v.Flag)
	if v.HasDefault && !v.IsBool() {
		note = "default " + v.Default + ", " + note
	}
	return strings.TrimSuffix(v.Help, ".") + " (" + note + ")."
}

// resolver gives flags that are not on the command line their value from the
// environment. What cannot be read is kept in complaints, to be reported
// together with all other problems.
type resolver struct {
	env        environment
	complaints *complaints
}

// Validate is part of kong.Resolver.
func (resolver) Validate(*kong.Application) error { return nil }

// Resolve is part of kong.Resolver.
func (r resolver) Resolve(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	name := variableOf(f)
	value, ok := r.env[name]
	if name == "" || !ok || value == "" {
		return nil, nil //nolint:nilnil // so says kong: no value, no error
	}
	if err := wrongVariable(name, readable(f, value)); err != nil {
		r.complaints.add(err)
		return nil, nil //nolint:nilnil // reported with all others
	}
	return value, nil
}

func wrongVariable(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", name, err)
}

// readable tells whether kong will be able to decode the value.
func readable(f *kong.Flag, value string) error {
	if f.IsBool() {
		if !slices.Contains([]string{"true", "1", "yes", "false", "0", "no"}, strings.ToLower(value)) {
			return errors.New("must be true or false")
		}
		return nil
	}
	if f.Enum != "" && !slices.Contains(strings.Split(f.Enum, ","), value) {
		return fmt.Errorf("must be one of %s", strings.ReplaceAll(f.Enum, ",", ", "))
	}
	switch f.Target.Interface().(type) {
	case int:
		if _, err := strconv.Atoi(value); err != nil {
			return errors.New("must be a whole number")
		}
	case time.Duration:
		if _, err := time.ParseDuration(value); err != nil {
			return errors.New("must be a duration such as 10s or 1h30m")
		}
	}
	return nil
}

// secret returns a variable, or the content of the file that NAME_FILE names.
// Secrets come no other way: other users of the machine could read a flag.
func (e environment) secret(name string) (string, error) {
	value, path := strings.TrimSpace(e[name]), e[name+"_FILE"]
	switch {
	case value != "" && path != "":
		return "", fmt.Errorf("%s and %s_FILE are both set; unset one of them", name, name)
	case path == "":
		return value, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s_FILE cannot be read: %w", name, err)
	}
	value = strings.TrimSpace(string(content))
	if value == "" {
		return "", fmt.Errorf("%s_FILE names an empty file", name)
	}
	return value, nil
}

// complaints collects everything that is wrong with the configuration, so that
// it is reported together and before anything starts.
type complaints struct{ errs []error }

func (c *complaints) add(err error) {
	if err != nil {
		c.errs = append(c.errs, err)
	}
}

// usage returns what was collected as bad usage; nil if all is well.
func (c *complaints) usage() error {
	if len(c.errs) == 0 {
		return nil
	}
	return &usageError{errors.Join(c.errs...)}
}

// setting parses the text of a flag, which may have come from its variable.
func setting[T any](c *complaints, flag, text string, parse func(string) (T, error)) T {
	value, err := parse(text)
	if err != nil {
		variable := flagPrefix + strings.ToUpper(underscored(flag))
		c.add(fmt.Errorf("--%s ($%s): %w", flag, variable, err))
	}
	return value
}

// positive parses a whole number of at least one.
func positive(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errors.New("must be a whole number of at least 1")
	}
	return n, nil
}

// span parses a duration above zero.
func span(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errors.New("must be a duration such as 10s or 1h30m")
	}
	return d, nil
}
