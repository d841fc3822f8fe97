package store

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the Ctrl-C of a terminal from the child, so that it outlives the calls
// in flight, and lets the kernel end it if its parent is killed.
func ownGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
