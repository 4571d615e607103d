package droneapi

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"drone-otel-agent/internal/clienttls"
)

// TLSConfig says whom to trust and who to be. The zero value trusts the system's authorities. The files are read again
// for every request, so that renewed ones need no restart; where they cannot be used, that is logged and what was
// read before stays in use.
type TLSConfig struct {
	// CAFile holds PEM certificates that are trusted in place of the system's.
	CAFile string
	// CertFile and KeyFile hold the client's own certificate, both or neither.
	CertFile, KeyFile string
	// InsecureSkipVerify trusts anyone.
	InsecureSkipVerify bool
}

// Validate reads the files. An error says which of them cannot be used and why.
func (c TLSConfig) Validate() error { return c.files().Validate() }

func (c TLSConfig) files() clienttls.Files {
	return clienttls.Files{
		CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile, InsecureSkipVerify: c.InsecureSkipVerify,
	}
}

// renewed is the network with certificates that may change. A new transport is made where they do: one that is in use
// keeps its configuration, and its connections that of the certificates with which they were made.
type renewed struct {
	source    *clienttls.Source
	transport func(*tls.Config) *http.Transport

	mu      sync.Mutex
	config  *tls.Config // of current
	current *http.Transport
}

// newRenewed reads the files of the configuration. An error says which of them cannot be used and why.
func newRenewed(c TLSConfig, transport func(*tls.Config) *http.Transport, log *slog.Logger) (*renewed, error) {
	source, err := clienttls.New(c.files(), log)
	if err != nil {
		return nil, err
	}
	return &renewed{source: source, transport: transport}, nil
}

// RoundTrip implements http.RoundTripper.
func (r *renewed) RoundTrip(req *http.Request) (*http.Response, error) { return r.now().RoundTrip(req) }

// CloseIdleConnections lets http.Client reach the connections.
func (r *renewed) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.CloseIdleConnections()
	}
}

// now is the transport for the certificates as they are.
func (r *renewed) now() *http.Transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	config := r.source.Config()
	if config == r.config {
		return r.current
	}
	if r.current != nil {
		r.current.CloseIdleConnections() // those in use are closed when they become idle
	}
	// http.Transport writes what it negotiates for HTTP/2 into the configuration.
	r.config, r.current = config, r.transport(config.Clone())
	return r.current
}

// untrusted tells whether err says that the server's certificate was not accepted: another try does not
// change that.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}
