//go:build systemd

package systemd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"drone-otel-agent/e2e/await"
)

// patience bounds a single command.
const patience = 2 * time.Minute

// person is who administers the machine: not root, but may become it with sudo.
const person = "admin"

// host is a booted Debian.
type host struct {
	leader string // the process id of its systemd, as seen from here
}

// boot boots a fresh Debian, which is gone at the end of the test, however that comes.
func boot(t *testing.T) *host {
	t.Helper()
	archive := makeRoot(t)
	name := "drone-otel-agent-" + strconv.Itoa(os.Getpid())
	keeper := exec.CommandContext(context.WithoutCancel(t.Context()), "./container.sh", "boot", archive, name)
	keeper.Stderr = os.Stderr
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C ends the test, and its end ends the container
	input, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatalf("starting container.sh: %v", err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_, _ = io.Copy(io.Discard, output)
		if err := keeper.Wait(); err != nil {
			t.Errorf("taking the container away: %v", err)
		}
	})
	leader, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("no container: container.sh boot said nothing: %v", err)
	}
	h := &host{leader: strings.TrimSpace(leader)}
	await.Until(t, "systemd to come up", func() error {
		// Anything but running is a failure to systemctl. What fails in a degraded one is none of the agent's business.
		state, err := h.try(t.Context(), "systemctl", "is-system-running")
		if state = strings.TrimSpace(state); state != "running" && state != "degraded" {
			return fmt.Errorf("it is %q: %w", state, err)
		}
		return nil
	})
	h.run(t, "useradd", "--create-home", "--shell", "/bin/bash", person)
	h.write(t, "/etc/sudoers.d/"+person, "0440", person+" ALL=(ALL) NOPASSWD: ALL\n")
	return h
}

// makeRoot gives the archive of the container's file system.
func makeRoot(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "./container.sh", "root")
	command.Stderr = os.Stderr
	archive, err := command.Output()
	if err != nil {
		t.Fatalf("making the container's file system: %v", err)
	}
	return strings.TrimSpace(string(archive))
}

// inside makes a command that runs in the container as root, with nothing of the test's environment.
func (h *host) inside(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{
		"--target", h.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--",
		"env", "--ignore-environment", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	command := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	command.WaitDelay = time.Second
	return command
}

// try runs a command as root and gives its standard output; the error has what it wrote to its standard error.
func (h *host) try(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	command := h.inside(ctx, args...)
	var said strings.Builder
	command.Stderr = &said
	output, err := command.Output()
	if err != nil {
		return string(output), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(output), nil
}

// run is try for a command that must succeed. It gives the output without the line break at its end.
func (h *host) run(t testing.TB, args ...string) string {
	t.Helper()
	output, err := h.try(t.Context(), args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return strings.TrimSuffix(output, "\n")
}

// fails runs a command that must not succeed, and gives what it said.
func (h *host) fails(t *testing.T, args ...string) string {
	t.Helper()
	output, err := h.try(t.Context(), args...)
	if err == nil {
		t.Fatalf("%s succeeded, want a failure\n%s", strings.Join(args, " "), output)
	}
	return output + err.Error()
}

// typed runs a line as the person types it after signing in.
func (h *host) typed(t *testing.T, line string) {
	t.Helper()
	output, err := h.try(t.Context(), "runuser", "--login", person, "--command", line)
	t.Logf("$ %s\n%s", line, output)
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file with a mode, in place of the one that was there.
func (h *host) write(t *testing.T, path, mode, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := h.inside(ctx, "install", "-D", "--mode="+mode, "/dev/stdin", path)
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("writing %s: %v\n%s", path, err, output)
	}
}

// copyIn copies a file of this machine to the person's home.
func (h *host) copyIn(t *testing.T, path, name string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "/home/"+person+"/"+name, "0644", string(content))
}

// exists tells whether there is anything at a path.
func (h *host) exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := h.try(t.Context(), "test", "-e", path)
	return err == nil
}

// afterwards is try for the end of a test, when its context is over. What goes wrong is only told.
func (h *host) afterwards(t *testing.T, args ...string) string {
	t.Helper()
	output, err := h.try(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Log(err)
	}
	return output
}
