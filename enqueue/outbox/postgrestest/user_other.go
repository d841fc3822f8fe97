//go:build !linux

package postgrestest

import "os/exec"

func give(string) error       { return nil }
func asUser(*exec.Cmd)        {}
func (s *Server) ended() bool { return false }
