//go:build unix && !linux

package store

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the Ctrl-C of a terminal from the child, so that it outlives the calls
// in flight. If the parent is killed it goes on, until the next one ends it.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
