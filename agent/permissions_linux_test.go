package agent

import (
	"os"
	"syscall"
	"testing"
)

// mount mounts a file system in memory for the time of the test, or skips it where that is not allowed.
func mount(t *testing.T, folder, options string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestSecretsOfAPlatform lays a token where Kubernetes shows secrets: on a file system in memory, for everyone to
// read, and mounted for reading only.
func TestSecretsOfAPlatform(t *testing.T) {
	prepare(t, "")
	folder := home(t)
	mount(t, folder+"/secret", "mode=1777")
	lay(t, folder+"/secret/token", testToken, 0o644)
	lay(t, folder+"/config.yaml", "drone: {token_file: "+folder+"/secret/token}\n", 0o644)
	if got := loose(t, folder); len(got) != 1 {
		t.Errorf("while it can be written: %q, want one finding", got)
	}
	if err := syscall.Mount("", folder+"/secret", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got := loose(t, folder); len(got) != 0 {
		t.Errorf("as Kubernetes mounts it: %q, want nothing", got)
	}
}

// TestStateOnAVolume keeps the state on a volume of somebody else's, which has the mode that they chose.
func TestStateOnAVolume(t *testing.T) {
	prepare(t, "")
	folder := home(t)
	state := folder + "/state"
	mount(t, state, "mode=2777,uid=12345")
	lay(t, state+"/builds.db", "", 0o660)
	lay(t, folder+"/config.yaml", "state: {path: "+state+"}\n", 0o644)
	if got := loose(t, folder); len(got) != 0 {
		t.Errorf("on a volume of somebody else's: %q, want nothing", got)
	}
	if err := os.Chown(state, os.Geteuid(), os.Getegid()); err != nil {
		t.Fatal(err)
	}
	if got := loose(t, folder); len(got) != 2 {
		t.Errorf("on a volume of our own: %q, want two findings", got)
	}
}
