// Package certtest makes real certificates for tests, and replaces files as operators and their tools do.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates. No two have the same name, so that a certificate of one is never taken for one
// of another.
type Authority struct {
	// File holds the authority's own certificate.
	File string
	// PEM is what File holds.
	PEM []byte

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one with a name of its own.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	serial := newSerial(t)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "test authority " + serial.Text(36)}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a := &Authority{File: filepath.Join(t.TempDir(), "ca.pem"), key: newKey(t)}
	a.cert, a.PEM = sign(t, template, template, a.key, a.key)
	write(t, a.File, a.PEM)
	return a
}

// Pool trusts the authority and nobody else.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Leaf is a certificate to be made, for a server and for a client.
type Leaf struct {
	// Name is its common name, and a DNS name it is valid for.
	Name string
	// At is the address it is valid for; nil is 127.0.0.1.
	At net.IP
	// Until is when it ends; zero is in an hour.
	Until time.Time
}

// Pair is a certificate and its key, both in PEM form.
type Pair struct{ Cert, Key []byte }

// Issue makes a certificate with a key of its own.
func (a *Authority) Issue(t testing.TB, leaf Leaf) Pair {
	t.Helper()
	if leaf.At == nil {
		leaf.At = net.IPv4(127, 0, 0, 1)
	}
	if leaf.Until.IsZero() {
		leaf.Until = time.Now().Add(time.Hour)
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(t), Subject: pkix.Name{CommonName: leaf.Name}, DNSNames: []string{leaf.Name},
		IPAddresses: []net.IP{leaf.At}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: leaf.Until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key := newKey(t)
	_, cert := sign(t, template, a.cert, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("encoding a key: %v", err)
	}
	return Pair{Cert: cert, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}

// TLS is the pair as crypto/tls takes it.
func (p Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatalf("reading a certificate: %v", err)
	}
	return cert
}

// Write puts the pair into a folder, as cert.pem and key.pem.
func (p Pair) Write(t testing.TB, folder string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	write(t, cert, p.Cert)
	write(t, key, p.Key)
	return cert, key
}

// sign makes a certificate of a key, and its PEM form.
func sign(
	t testing.TB, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey,
) (*x509.Certificate, []byte) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatalf("making a certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("reading a certificate: %v", err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return key
}

func newSerial(t testing.TB) *big.Int {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatalf("making a serial number: %v", err)
	}
	return serial
}
