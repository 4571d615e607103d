package exporters

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSystemdSocket starts this test again as systemd would: with an open socket as file descriptor 3.
func TestSystemdSocket(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		s, err := NewServer(ServerConfig{SystemdSocket: true, Metrics: open})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		t.Logf("listening on %v", s.Addrs())
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	// LISTEN_PID has to be the process that gets the socket, which exec keeps.
	cmd := exec.CommandContext(soon(t), "/bin/sh", "-c",
		`LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -test.run='^TestSystemdSocket$' -test.v`, os.Args[0])
	cmd.ExtraFiles = []*os.File{file}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "listening on ["+listener.Addr().String()+"]") {
		t.Errorf("%v\n%s", err, out)
	}
}
