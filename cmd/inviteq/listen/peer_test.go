package listen

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
)

// certificate is one for 127.0.0.1, and what a client needs to trust it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func TestClient(t *testing.T) {
	proxies, err := ParseProxies(" 10.0.0.0/8, 192.0.2.7,2001:db8::/32,")
	if err != nil || len(proxies) != 3 {
		t.Fatalf("got %v, %v", proxies, err)
	}
	cfg := &Config{Proxies: proxies}
	for _, c := range []struct {
		peer string
		hops []string
		want string
	}{
		{"198.51.100.1:5", []string{"203.0.113.9"}, "198.51.100.1:5"}, // It is no proxy of ours.
		{"127.0.0.1:5", []string{"203.0.113.9"}, "127.0.0.1:5"},
		{"10.1.2.3:5", nil, "10.1.2.3:5"},
		{"10.1.2.3:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"[::ffff:10.1.2.3]:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"[2001:db8::1]:5", []string{"2001:db9::9"}, "[2001:db9::9]:0"},
		{"10.1.2.3:5", []string{"1.1.1.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9:0"}, // What stands before it is hearsay.
		{"10.1.2.3:5", []string{"1.1.1.1", "203.0.113.9, 192.0.2.7"}, "203.0.113.9:0"},
		{"10.1.2.3:5", []string{"1.1.1.1, canary@example.com"}, "10.1.2.3:5"},
		{"10.1.2.3:5", []string{"10.1.1.1"}, "10.1.2.3:5"},
		{"@", []string{"203.0.113.9"}, "@"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.hops
		if got := cfg.client(r); got != c.want {
			t.Errorf("%s for %q: got %s, want %s", c.peer, c.hops, got, c.want)
		}
	}
	for _, bad := range []string{"10.0.0.0/33", "proxy.example.com", "10.0.0.0/8;10.1.1.1"} {
		if got, err := ParseProxies(bad); err == nil {
			t.Errorf("%s: got %v", bad, got)
		}
	}
}
