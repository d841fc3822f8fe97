package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/inviteq/inviteq/enqueue/lists"
)

// secrets are the variables that hold secrets, and the command that alone reads them.
// NAME_FILE names a file in place of each.
var secrets = []struct{ name, of string }{
	{"REDIS_URL", ""}, {"CLERK_SECRET_KEY", ""}, {"INVITEQ_ENCRYPTION_KEY", ""},
	{"INVITEQ_ADMIN_TOKEN", "worker"}, {"INVITEQ_WEBHOOK_SECRET", "worker"}, {"INVITEQ_DATABASE_URL", "outbox"},
}

// knownVariables are all that some subcommand understands, flags and secrets.
func knownVariables(app *kong.Application) map[string]bool {
	known := map[string]bool{}
	for _, s := range secrets {
		known[s.name], known[s.name+"_FILE"] = true, true
	}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error { // next returns nil
		if f, ok := node.(*kong.Flag); ok {
			known[variableOf(f)] = true
		}
		return next(nil)
	})
	delete(known, "")
	return known
}

// injected are what Kubernetes puts into every pod for a service whose name begins
// with inviteq, unless enableServiceLinks is false.
var injected = regexp.MustCompile(`_SERVICE_(HOST|PORT)|_PORT(_|$)`)

// ofTests are those of the project's own tests, which run the program as it is.
var ofTests = regexp.MustCompile(`^INVITEQ_(SIM|SOAK|MODEL|MIXED|TOPOLOGY|PENTEST|COMPOSE|SCALE|SCREENSHOTS)(_|$)`)

// misspelt complains about variables that look like ours and mean nothing to any
// subcommand: a setting that has no effect is found too late.
func misspelt(env environment, known map[string]bool) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, flagPrefix) || known[name] || injected.MatchString(name) || ofTests.MatchString(name) {
			continue
		}
		best := slices.MinFunc(slices.Sorted(maps.Keys(known)), func(a, b string) int { return lists.Distance(name, a) - lists.Distance(name, b) })
		if bare := strings.TrimPrefix(name, flagPrefix); known[bare] {
			best = bare
		}
		if strings.HasSuffix(name, best) || lists.Distance(name, best) <= 2 {
			errs = append(errs, fmt.Errorf("%s means nothing to inviteq; did you mean %s?", name, best))
		} else {
			errs = append(errs, fmt.Errorf("%s means nothing to inviteq; unset it", name))
		}
	}
	return errs
}
