package main

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestSocketsPassed starts the agent as systemd does where the .socket unit is enabled, with no flag for it: the socket
// is there, and its port taken, before the agent is.
func TestSocketsPassed(t *testing.T) {
	t.Parallel()
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
	address := listener.Addr().String()
	config := filepath.Join(t.TempDir(), "config.yaml")
	text := `{drone: {server: "http://127.0.0.1:1", token: token}, prometheus: {listen_address: "` + address + `"}}`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The test binary is the agent where it is called so. LISTEN_PID has to be the process that gets the socket,
	// which exec keeps.
	binary := filepath.Join(t.TempDir(), program)
	if err := os.Symlink(os.Args[0], binary); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c",
		`LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --config.file="$1"`, binary, config)
	cmd.ExtraFiles = []*os.File{file}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	// Asked before the agent is there, the question waits in the socket.
	question, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/-/healthy", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Do(question)
	_ = cmd.Process.Signal(os.Interrupt)
	if wait := <-exited; wait != nil {
		t.Errorf("the agent ended with %v", wait)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, log.Bytes())
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the answer is %s", answer.Status)
	}
}
