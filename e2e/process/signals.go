package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"drone-otel-agent/e2e/await"
)

// Signal sends a signal.
func (a *Agent) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := a.command.Process.Signal(sig); err != nil {
		t.Fatalf("sending %v: %v", sig, err)
	}
}

// AwaitEnd waits for the process to end by itself and returns its exit code, -1 where a signal ended it.
func (a *Agent) AwaitEnd(t testing.TB) int {
	t.Helper()
	await.Until(t, "the agent to end", func() error {
		select {
		case <-a.ended:
			return nil
		default:
			return errors.New("it runs on")
		}
	})
	return a.command.ProcessState.ExitCode()
}

// Proc reads a file of the running process's folder below /proc.
func (a *Agent) Proc(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", a.command.Process.Pid, name))
	if err != nil {
		t.Fatalf("reading about the process: %v", err)
	}
	return string(raw)
}

// Descriptors counts the files and sockets that the process has open.
func (a *Agent) Descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(a.command.Process.Pid) + "/fd")
	if err != nil {
		t.Fatalf("counting open files: %v", err)
	}
	return len(entries)
}

// Left returns the names of the files in the folder that the process was started in.
func (a *Agent) Left(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(a.command.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
