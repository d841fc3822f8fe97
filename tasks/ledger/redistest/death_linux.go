package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel end the server if the test binary is killed.
func dieWithParent(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
