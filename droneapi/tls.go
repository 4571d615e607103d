package droneapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSConfig says whom to trust and who to be. The zero value trusts the system's authorities.
type TLSConfig struct {
	// CAFile holds PEM certificates that are trusted in place of the system's.
	CAFile string
	// CertFile and KeyFile hold the client's own certificate, both or neither. They are read again for
	// every new connection, so that a renewed certificate needs no restart.
	CertFile, KeyFile string
	// InsecureSkipVerify trusts anyone.
	InsecureSkipVerify bool
}

// Validate reads the files. An error says which of them cannot be used and why.
func (c TLSConfig) Validate() error {
	_, err := c.build()
	return err
}

func (c TLSConfig) build() (*tls.Config, error) {
	//nolint:gosec // to trust anyone is the operator's explicit choice, off by default
	out := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the CA file %s: it holds no PEM certificate", c.CAFile)
		}
	}
	switch {
	case c.CertFile == "" && c.KeyFile == "":
		return out, nil
	case c.CertFile == "" || c.KeyFile == "":
		return nil, errors.New("a client certificate needs both its file and its key's file")
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate %s and key %s: %w", c.CertFile, c.KeyFile, err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return out, nil
}

// untrusted tells whether err says that the server's certificate was not accepted: another try does not
// change that.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}
