package exporters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"drone-otel-agent/internal/clienttls"
)

// OTLPTLSConfig is the client's side of TLS. The files are PEM, and are read again for every connection, so that
// renewed ones need no restart; where they cannot be used, that is logged and what was read before stays in use.
type OTLPTLSConfig struct {
	// CAFile holds the authorities to trust instead of the system's. (…_CERTIFICATE)
	CAFile string
	// CertFile and KeyFile are the client's certificate. (…_CLIENT_CERTIFICATE, …_CLIENT_KEY)
	CertFile, KeyFile string
	// InsecureSkipVerify trusts whoever answers.
	InsecureSkipVerify bool
}

// credentials are for gRPC. What is not configured here the standard variables may give.
func (t OTLPTLSConfig) credentials(plain bool, logger *slog.Logger) (credentials.TransportCredentials, error) {
	if plain {
		if t != (OTLPTLSConfig{}) {
			return nil, errors.New("otlp.tls: the endpoint is without TLS: write https:// or leave otlp.tls empty")
		}
		return insecure.NewCredentials(), nil
	}
	files := clienttls.Files{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, InsecureSkipVerify: t.InsecureSkipVerify}
	caName, certName := "otlp.tls.ca_file", "otlp.tls.cert_file"
	if files.CA == "" {
		caName, files.CA = otlpEnv("CERTIFICATE")
	}
	if files.Cert == "" && files.Key == "" {
		certName, files.Cert = otlpEnv("CLIENT_CERTIFICATE")
		_, files.Key = otlpEnv("CLIENT_KEY")
	}
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("otlp.tls: a client certificate needs both, the certificate's file and the key's")
	}
	if err := (clienttls.Files{CA: files.CA}).Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", caName, err)
	}
	source, err := clienttls.New(files, logger)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certName, err)
	}
	return renewedCredentials{credentials.NewTLS(source.Config()), source}, nil
}

// renewedCredentials make every connection with the certificates as they are then.
type renewedCredentials struct {
	credentials.TransportCredentials // as they were at the start: for what they say of themselves

	source *clienttls.Source
}

// ClientHandshake implements credentials.TransportCredentials.
func (r renewedCredentials) ClientHandshake(
	ctx context.Context, authority string, conn net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(r.source.Config()).ClientHandshake(ctx, authority, conn)
}

// Clone implements credentials.TransportCredentials.
func (r renewedCredentials) Clone() credentials.TransportCredentials {
	return renewedCredentials{r.TransportCredentials.Clone(), r.source}
}
