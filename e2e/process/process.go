// Package process builds the agent's binary and runs it as its users do: a process with flags, a
// configuration file, an environment and signals.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"drone-otel-agent/e2e/await"
)

// Version is what the binary is built as.
const Version = "9.8.7-e2e"

// flagsVariable adds flags to go build: -race, where the machine has what it takes.
const flagsVariable = "AGENT_BUILD_FLAGS"

// Build builds the binary of the module in source into the folder target.
func Build(ctx context.Context, source, target string) (binary string, err error) {
	binary = filepath.Join(target, "drone-otel-agent")
	args := []string{"build", "-buildvcs=false", "-o", binary,
		"-ldflags", "-X github.com/prometheus/common/version.Version=" + Version}
	args = append(args, strings.Fields(os.Getenv(flagsVariable))...)
	build := exec.CommandContext(ctx, "go", append(args, ".")...)
	build.Dir = source
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w\n%s", err, output)
	}
	return binary, nil
}

// buildTool builds a tool into the folder target.
func buildTool(ctx context.Context, target string, tool Tool) (binary string, err error) {
	binary = filepath.Join(target, path.Base(tool.Package))
	args := slices.Concat([]string{"build", "-o", binary}, tool.Flags, []string{tool.Package})
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = tool.Source
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", tool.Package, err, output)
	}
	return binary, nil
}

// Agent is a running agent, or another program beside it.
type Agent struct {
	command *exec.Cmd
	log     log
	ended   chan struct{}
	err     error // of the process; to be read once ended is closed
}

// Output runs a command of the binary that ends by itself, and returns what it wrote to its standard output.
func Output(t testing.TB, binary string, env []string, args ...string) string {
	t.Helper()
	command := prepare(t, binary, env, args)
	var said strings.Builder
	command.Stderr = &said
	output, err := command.Output()
	if err != nil {
		t.Fatalf("the agent with %q: %v\n%s", args, err, said.String())
	}
	return string(output)
}

// prepare makes a command whose environment is env and nothing of the test's own, so that no variable of
// whoever runs the tests has a say.
func prepare(t testing.TB, binary string, env, args []string) *exec.Cmd {
	t.Helper()
	// Not the test's context: it ends before the clean-up that stops the process in order.
	command := exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
	command.Dir = t.TempDir()
	command.Env = append([]string{"HOME=" + command.Dir, "PATH=" + os.Getenv("PATH")}, env...)
	return command
}

// Start runs the binary until the end of the test, or until Terminate.
func Start(t testing.TB, binary string, env []string, args ...string) *Agent {
	t.Helper()
	a := &Agent{command: prepare(t, binary, env, args), ended: make(chan struct{})}
	a.command.Stdout, a.command.Stderr = &a.log, &a.log
	if err := a.command.Start(); err != nil {
		t.Fatalf("starting the agent: %v", err)
	}
	go func() {
		defer close(a.ended)
		a.err = a.command.Wait()
	}()
	t.Cleanup(func() {
		_ = a.command.Process.Kill()
		<-a.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(binary), a.Log())
		}
	})
	return a
}

// Log is what the agent has written so far, on both its outputs.
func (a *Agent) Log() string { return a.log.String() }

// Lines returns the lines of the log that contain the text.
func (a *Agent) Lines(text string) []string {
	var found []string
	for line := range strings.Lines(a.Log()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

// Await waits for a condition that the running agent will bring about.
func (a *Agent) Await(t testing.TB, what string, condition func() error) {
	t.Helper()
	await.UntilOr(t, what, a.ended, condition)
}

// AwaitLine waits for a line of the log that contains the text, and returns the first one.
func (a *Agent) AwaitLine(t testing.TB, text string) string {
	t.Helper()
	var line string
	a.Await(t, fmt.Sprintf("a log line with %q", text), func() error {
		lines := a.Lines(text)
		if len(lines) == 0 {
			return errors.New("there is none")
		}
		line = lines[0]
		return nil
	})
	return line
}

// Kill sends SIGKILL, as the kernel does when memory runs out, and returns once the process has ended.
func (a *Agent) Kill(t testing.TB) {
	t.Helper()
	if err := a.command.Process.Kill(); err != nil {
		t.Fatalf("sending SIGKILL: %v", err)
	}
	<-a.ended
}

// Terminate sends SIGTERM, as systemd does, and returns the exit code once the process has ended.
func (a *Agent) Terminate(t testing.TB) int {
	t.Helper()
	if err := a.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("sending SIGTERM: %v", err)
	}
	await.Until(t, "the agent to end", func() error {
		select {
		case <-a.ended:
			return nil
		default:
			return errors.New("it runs on after SIGTERM")
		}
	})
	var status *exec.ExitError
	if a.err != nil && !errors.As(a.err, &status) {
		t.Fatalf("waiting for the agent: %v", a.err)
	}
	return a.command.ProcessState.ExitCode()
}

// log collects what a process writes while the test reads it.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
