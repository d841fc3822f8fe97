package redisconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
)

// Files name what TLS needs, each in PEM. The zero value trusts what the machine
// trusts, and shows no certificate.
type Files struct {
	CA   string // Trust these authorities, and no others.
	Cert string // The client's certificate, the whole chain, for a server that wants one. Needs Key.
	Key  string // Its key.
}

// apply puts the files into the options. The client's certificate is read again
// for every new connection, so that it can be renewed without a restart.
func (f Files) apply(o *redis.UniversalOptions) error {
	if f == (Files{}) {
		return nil
	}
	if o.TLSConfig == nil {
		return errors.New(subjectURL + "must begin with rediss://, rediss-sentinel:// or rediss-cluster://, because a CA file or a client certificate is given, which only TLS uses")
	}
	var errs []error
	if f.CA != "" {
		pool := x509.NewCertPool()
		switch pem, err := os.ReadFile(f.CA); {
		case err != nil:
			errs = append(errs, fmt.Errorf("the CA file (REDIS_CA_FILE) cannot be read: %w", err))
		case !pool.AppendCertsFromPEM(pem):
			errs = append(errs, fmt.Errorf("the CA file (REDIS_CA_FILE) %s holds no certificate in PEM", f.CA))
		default:
			o.TLSConfig.RootCAs = pool
		}
	}
	switch {
	case f.Cert == "" && f.Key == "":
	case f.Cert == "" || f.Key == "":
		errs = append(errs, errors.New("the client certificate: give both REDIS_CERT_FILE and REDIS_KEY_FILE, or neither"))
	default:
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
			return &pair, err
		}
		if _, err := load(nil); err != nil {
			errs = append(errs, fmt.Errorf("the client certificate (REDIS_CERT_FILE, REDIS_KEY_FILE) cannot be used: %w", err))
		}
		o.TLSConfig.GetClientCertificate = load
	}
	return errors.Join(errs...)
}

// Unverified reports whether the options say that any certificate is trusted
// (skip_verify=true): whoever is between us and Redis can read and change all.
func Unverified(o *redis.UniversalOptions) bool {
	return o.TLSConfig != nil && o.TLSConfig.InsecureSkipVerify
}

// UnverifiedWarning is what to tell a person then.
const UnverifiedWarning = "REDIS_URL has skip_verify: the server's certificate is not checked, so that others on the way can read and change everything; name its authority with REDIS_CA_FILE instead"
