//go:build image

package image

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"drone-otel-agent/e2e/await"
)

// TestOutputEndsAll: a command whose time is over leaves none of its own commands behind, as make's compilers.
func TestOutputEndsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := output(ctx, "sh", "-c", `{ echo started; exec sleep 100; } >"$0" & wait`, path)
		ended <- err
	}()
	pipe, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pipe.Close() }()
	if err := pipe.SetReadDeadline(time.Now().Add(await.Deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(pipe, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the command ended by %v", err)
	}
	// The pipe ends when nobody has it any more.
	if _, err := io.ReadAll(pipe); err != nil {
		t.Errorf("a command of the command goes on: %v", err)
	}
}
