package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAuthorities holds that the agent trusts whom the system trusts and, where it has no list of them, as the
// container's image, Mozilla's. A process looks for the system's list once, so each case has its own.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	const child, listVariable = "TEST_AUTHORITIES", "SSL_CERT_FILE"
	if os.Getenv(child) != "" {
		lookAtAuthorities(t, os.Getenv(listVariable))
		return
	}
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	folder := t.TempDir()
	list := filepath.Join(folder, "list.pem")
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(list, one, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{list, filepath.Join(folder, "none.pem")} {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAuthorities$")
		again.Env = append(os.Environ(), child+"=1", listVariable+"="+list, "SSL_CERT_DIR="+filepath.Join(folder, "none"))
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", list, err, out)
		}
	}
}

func lookAtAuthorities(t *testing.T, list string) {
	t.Helper()
	trusted, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	listed := x509.NewCertPool()
	raw, err := os.ReadFile(list)
	switch {
	case err == nil && listed.AppendCertsFromPEM(raw) && !trusted.Equal(listed):
		t.Error("others are trusted than the system's")
	case err != nil && trusted.Equal(listed):
		t.Error("nobody is trusted")
	}
}
