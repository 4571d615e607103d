package exporters

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
)

// Healthcheck asks the agent that listens on this machine at an address, as in [ServerConfig], whether it is well. An
// error says what was asked and what came of it.
//
// It speaks TLS where the agent does, and does not look at whose certificate that is: it has nothing to hide, and the
// agent's name is not loopback's. An agent that wants a client's certificate is well when it has said so, and one
// with basic auth or a rate limit when it refuses a client for that: more cannot be asked from here.
func Healthcheck(ctx context.Context, address string) error {
	host, err := local(ctx, address)
	if err != nil {
		return fmt.Errorf("asking the agent at %s: %w", address, err)
	}
	// TLS first: a server without answers in plain text at once and does not log it; the other way round it does.
	err = healthy(ctx, url.URL{Scheme: "https", Host: host, Path: HealthyPath})
	if errors.Is(err, http.ErrSchemeMismatch) {
		err = healthy(ctx, url.URL{Scheme: "http", Host: host, Path: HealthyPath})
	}
	return err
}

// local is where somebody on this machine reaches who listens on an address.
func local(ctx context.Context, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("an address has the form host:port: %w", err)
	}
	if number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil || number == 0 {
		return "", fmt.Errorf("which port it is cannot be told from %q", port)
	}
	// Who listens on every address of the machine does so for both families.
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func healthy(ctx context.Context, page url.URL) error {
	var wantsCertificate atomic.Bool
	transport := &http.Transport{ // without a proxy
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: true, //nolint:gosec // nothing secret is said or believed
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				wantsCertificate.Store(true)
				return &tls.Certificate{}, nil
			},
		},
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return fmt.Errorf("asking the agent: %w", err)
	}
	resp, err := client.Do(req)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("asking the agent at %s: no answer: %w", page.Host, ctx.Err())
	case err != nil && wantsCertificate.Load():
		// How the refusal arrives depends on who is faster: as a TLS alert, or as a connection that is closed.
		return nil
	case err != nil:
		var outer *url.Error // says again what was asked
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return fmt.Errorf("asking the agent at %s: %w", page.Host, withoutOp(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusTooManyRequests:
		return nil
	}
	return fmt.Errorf("asking the agent at %s: %s answers %s", page.Host, page.Path, resp.Status)
}
