package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// owner is who runs PostgreSQL when this process is root; zero if it is not.
func owner() (uid, gid int, err error) {
	if os.Getuid() != 0 {
		return 0, 0, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.Atoi(u.Uid)
			gid, err2 := strconv.Atoi(u.Gid)
			if err1 == nil && err2 == nil {
				return uid, gid, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("postgres does not run as root, and there is no user postgres or nobody")
}

// give makes a folder belong to whom asUser runs a command as.
func give(dir string) error {
	uid, gid, err := owner()
	if err != nil || uid == 0 {
		return err
	}
	return os.Chown(dir, uid, gid)
}

// asUser runs a command as somebody who is not root, and makes the kernel end it if the
// test binary is killed.
func asUser(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if uid, gid, err := owner(); err == nil && uid != 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
}

// ended reports whether the server has ended by itself.
func (s *Server) ended() bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WNOHANG, nil)
	return err == nil && pid == s.cmd.Process.Pid
}
