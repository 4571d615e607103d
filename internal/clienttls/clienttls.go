// Package clienttls is the client's side of TLS, made of files that are renewed while the program runs.
package clienttls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Files says whom to trust and who to be. The zero value trusts the system's authorities. The files are PEM.
type Files struct {
	// CA holds the authorities to trust in place of the system's.
	CA string
	// Cert and Key hold the client's own certificate, both or neither.
	Cert, Key string
	// InsecureSkipVerify trusts anyone.
	InsecureSkipVerify bool
}

// Validate reads the files. An error says which of them cannot be used and why.
func (f Files) Validate() error {
	_, err := New(f, slog.New(slog.DiscardHandler))
	return err
}

// Source gives the configuration of TLS as the files are at the time. It is safe for concurrent use.
type Source struct {
	log      *slog.Logger
	insecure bool

	mu     sync.Mutex
	pool   *part[*x509.CertPool]   // nil: the system's authorities
	own    *part[*tls.Certificate] // nil: no certificate
	config *tls.Config
}

// New reads the files. An error says which of them cannot be used and why.
func New(f Files, log *slog.Logger) (*Source, error) {
	s := &Source{log: log, insecure: f.InsecureSkipVerify}
	if f.CA != "" {
		s.pool = &part[*x509.CertPool]{name: "the CA file", files: []string{f.CA}, parse: parsePool(f.CA)}
		if _, err := s.pool.refresh(); err != nil {
			return nil, err
		}
	}
	switch {
	case f.Cert == "" && f.Key == "":
	case f.Cert == "" || f.Key == "":
		return nil, errors.New("a client certificate needs both its file and its key's file")
	default:
		s.own = &part[*tls.Certificate]{
			name: "the client certificate " + f.Cert + " and key " + f.Key, files: []string{f.Cert, f.Key}, parse: parsePair,
		}
		if _, err := s.own.refresh(); err != nil {
			return nil, err
		}
	}
	s.config = s.build()
	return s, nil
}

// Config is made of what the files hold now, and is another one than the last time only where that has changed. What
// cannot be used is logged, once, and what was read before stays in use. The caller must not change it.
func (s *Source) Config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.pool.renew(s.log)
	if s.own.renew(s.log) || changed {
		s.config = s.build()
	}
	return s.config
}

// build leaves all of the verification to crypto/tls: roots that change under one configuration would need one of
// our own.
func (s *Source) build() *tls.Config {
	//nolint:gosec // to trust anyone is the operator's explicit choice, off by default
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.insecure}
	if s.pool != nil {
		config.RootCAs = s.pool.good
	}
	if s.own != nil {
		own := s.own.good
		// Where the server lists authorities, tls.Config.Certificates would hold back a certificate of another one,
		// and the server would complain of none; this way it says what it does not like.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	return config
}

func parsePool(file string) func(contents [][]byte) (*x509.CertPool, error) {
	return func(contents [][]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(contents[0]) {
			return nil, fmt.Errorf("%s holds no PEM certificate", file)
		}
		return pool, nil
	}
}

func parsePair(contents [][]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	return &pair, err
}
