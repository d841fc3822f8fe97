package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{ jsonFlag }

func (versionCommand) Help() string {
	return `Example:

  inviteq version --json`
}

// Run prints the version, and the commit that the program was built from.
func (c *versionCommand) Run(_ context.Context, p *program) error {
	commit := ""
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	if c.JSON {
		return p.printJSON(struct {
			Version string `json:"version"`
			Commit  string `json:"commit"`
			Go      string `json:"go"`
		}{version, commit, runtime.Version()})
	}
	_, err := fmt.Fprintf(p.console.out, "inviteq %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
