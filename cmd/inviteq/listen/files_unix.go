//go:build unix

package listen

import "golang.org/x/sys/unix"

// openFiles is how many files the process may have open, connections included.
func openFiles() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return int(l.Cur)
}
