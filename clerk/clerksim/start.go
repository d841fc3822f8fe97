package clerksim

import (
	"context"
	"net"
)

// TB is what Start needs of a test; *testing.T and *testing.B have it.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(f func())
}

// Server is a Sim that listens on a port of this machine.
type Server struct {
	*Sim
	URL       string // the base URL for clients, http://127.0.0.1:…/v1
	SecretKey string // the key that is let in
}

// Start serves a simulated Clerk on a free loopback port until the test ends. A
// Config that is wrong ends the test. A real socket stops the clock of a
// testing/synctest bubble: there, use New and Sim.Transport.
func Start(t TB, cfg Config) *Server {
	t.Helper()
	sim, err := New(cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("clerksim: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- sim.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		sim.Close()
		if err := <-served; err != nil {
			t.Errorf("clerksim: %v", err)
		}
	})
	return &Server{Sim: sim, URL: "http://" + l.Addr().String() + "/v1", SecretKey: sim.cfg.SecretKey}
}
