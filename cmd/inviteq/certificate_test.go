package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// writeCertificate writes a certificate for 127.0.0.1, and returns what trusts it.
func writeCertificate(t testing.TB, folder, name string, written time.Time) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AddCert(leaf)
	return certFile, keyFile, trust
}

// TestListenersSpeakTLS asks a worker for its page, its health and an invite over
// TLS, and in plain http in vain.
func TestListenersSpeakTLS(t *testing.T) {
	cert, key, trust := writeCertificate(t, t.TempDir(), "one", time.Now())
	w := newWorld(t).withClerk(clerksim.Config{})
	token := strings.TrimSpace(w.ok("api", "token", "create", "web"))
	worker := w.startWorker("--api-addr", "127.0.0.1:0", "--api-tls-cert-file", cert, "--api-tls-key-file", key,
		"--admin-tls-cert-file", cert, "--admin-tls-key-file", key)
	api := strings.TrimPrefix(worker.apiAddr(t), "http://")
	admin := worker.adminAddr(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}}
	defer client.CloseIdleConnections()
	eventually(t, "Clerk has answered", func() bool {
		response, err := client.Get("https://" + admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	for path, want := range map[string]string{"https://" + admin + "/": "inviteq", "https://" + admin + "/readyz": "ready", "https://" + api + "/healthz": "ok"} {
		response, err := client.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(body.String(), want) {
			t.Errorf("%s: %s %v", path, response.Status, err)
		}
	}
	for _, addr := range []string{admin, api} {
		if status, body := ask(t, "GET", "http://"+addr+"/healthz", token, ""); status != http.StatusBadRequest {
			t.Errorf("plain http: %d %s", status, body)
		}
	}
	wants(t, w.ok("health", "--admin-addr", admin, "--admin-tls-cert-file", cert), "ready")
	wants(t, w.ok("health", "--api", "--api-addr", api, "--api-tls-cert-file", cert), "ready")
}

// TestCertificateIsReadAgain replaces the files, first one by one.
func TestCertificateIsReadAgain(t *testing.T) {
	var log bytes.Buffer
	var all complaints
	folder := t.TempDir()
	cert, key, _ := writeCertificate(t, folder, "one", time.Now().Add(-time.Hour))
	if serverTLS(&all, "api", cert, key, zerolog.New(&log)) == nil {
		t.Fatal(all.usage())
	}
	c := &certificate{certFile: cert, keyFile: key, log: zerolog.New(&log)}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	shows := func(want string) {
		t.Helper()
		now = now.Add(certificateCheck)
		if got := c.current(now).Leaf.Subject.CommonName; got != want {
			t.Errorf("got certificate %s, want %s", got, want)
		}
	}
	shows("one")
	other, _, _ := writeCertificate(t, t.TempDir(), "two", time.Now())
	if err := os.Rename(other, cert); err != nil {
		t.Fatal(err)
	}
	shows("one") // its key is not there yet
	shows("one")
	if n := strings.Count(log.String(), "the old one stays in use"); n != 1 {
		t.Errorf("%d complaints, want 1: %s", n, &log)
	}
	writeCertificate(t, folder, "three", time.Now().Add(time.Minute))
	shows("three")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	shows("three")
}

func TestCertificateUsage(t *testing.T) {
	cert, key, _ := writeCertificate(t, t.TempDir(), "one", time.Now())
	w := newWorld(t)
	for args, want := range map[string]string{
		"api --api-tls-cert-file " + cert:                                       "give both",
		"api --api-tls-key-file " + key:                                         "give both",
		"api --api-tls-cert-file " + cert + " --api-tls-key-file " + cert:       "--api-tls-key-file",
		"worker --admin-tls-cert-file /nowhere --admin-tls-key-file " + key:     "no such file",
		"worker --admin-tls-key-file " + key + " --api-tls-cert-file /nowhere/": "--api-tls-key-file",
	} {
		if r := w.run(strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d, %s", args, r.code, r.stderr)
		}
	}
}

// adminAddr waits for a worker to say where its pages are.
func (b *background) adminAddr(t *testing.T) string {
	t.Helper()
	addr := ""
	eventually(t, "the worker says where its pages are", func() bool {
		for line := range strings.Lines(b.log.String()) {
			var l struct{ Admin, Message string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Message == "worker starts" {
				addr = l.Admin
			}
		}
		return addr != ""
	})
	return addr
}
