//go:build image

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds a single command whose context has no deadline of its own.
const patience = 2 * time.Minute

// preparation bounds installing podman and the first build together: they may download, and compile everything.
const preparation = 10 * time.Minute

// engine is podman with a storage of its own, so that it meets nobody else's containers and leaves nothing behind.
type engine struct{ command []string }

// newEngine needs a folder with a short name: there will be sockets in it.
func newEngine(folder string) engine {
	return engine{[]string{
		"podman", "--root=" + filepath.Join(folder, "root"), "--runroot=" + filepath.Join(folder, "run"),
		"--tmpdir=" + filepath.Join(folder, "tmp"), "--storage-driver=vfs", "--events-backend=file",
		"--cgroup-manager=cgroupfs", "--runtime=runc", // the only one that knows both versions of cgroups side by side
	}}
}

// try runs a command and returns what it wrote to its standard output. An error has the rest.
func (e engine) try(ctx context.Context, args ...string) (string, error) {
	return output(ctx, e.with(args...)...)
}

// with is the command line of a command.
func (e engine) with(args ...string) []string { return slices.Concat(e.command, args) }

// do is try for what must work.
func (e engine) do(t testing.TB, args ...string) string {
	t.Helper()
	out, err := e.try(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// build has make build the image from a checkout, with more flags.
func (e engine) build(ctx context.Context, checkout string, flags ...string) error {
	_, err := output(ctx, append([]string{"make", "-C", checkout, "--no-print-directory", "image", "IMAGE=" + name,
		"ENGINE=" + strings.Join(e.command, " ")}, flags...)...)
	return err
}

// output runs a command that ends by itself. Where its time is over, all that it has started ends with it.
func output(ctx context.Context, command ...string) (string, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = limited
	}
	var said strings.Builder
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Stderr = &said
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.Cancel = func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	run.WaitDelay = time.Second // a container's monitor may hold the pipe
	out, err := run.Output()
	if over := ctx.Err(); err != nil && over != nil {
		err = fmt.Errorf("%w: %w", over, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, out, said.String())
	}
	return string(out), nil
}

// install gets podman and runc where they are missing.
func install(ctx context.Context) error {
	const needs = "the tests of the image need "
	if os.Geteuid() != 0 {
		return errors.New(needs + "root: they run containers without a user's session")
	}
	var missing []string
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New(needs + strings.Join(missing, " and ") + ", and apt-get is not there to install them")
	}
	fmt.Fprintln(os.Stderr, "installing", missing)
	for _, step := range [][]string{{"update"}, append([]string{"install", "--no-install-recommends"}, missing...)} {
		command := append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes"}, step...)
		if _, err := output(ctx, command...); err != nil {
			return fmt.Errorf("%sthe Debian packages %s: %w", needs, strings.Join(missing, " and "), err)
		}
	}
	return nil
}
