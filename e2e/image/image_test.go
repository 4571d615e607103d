//go:build image

package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestContents holds all that is in the image, and who owns it: a static binary needs nobody else's libraries, and
// who breaks into it finds no shell.
func TestContents(t *testing.T) {
	id, file := podman.do(t, "create", name), filepath.Join(t.TempDir(), "files.tar")
	podman.do(t, "export", "--output="+file, id)
	podman.do(t, "rm", "--volumes", id)
	archive, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	var got []string
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg || strings.HasPrefix(header.Name, "var/lib/drone") {
			got = append(got, fmt.Sprintf("%s %v %d:%d", header.Name, header.FileInfo().Mode().Perm(), header.Uid, header.Gid))
		}
	}
	slices.Sort(got)
	want := []string{
		"etc/drone-otel-agent/config.yaml -rw-r--r-- 0:0",
		"usr/bin/drone-otel-agent -rwxr-xr-x 0:0",
		"usr/share/doc/drone-otel-agent/LICENSE -rw-r--r-- 0:0",
		"var/lib/drone-otel-agent/ -rwx------ 65532:65532",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the image holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMetadata holds what engines read of the image.
func TestMetadata(t *testing.T) {
	var inspected []struct {
		Architecture string
		HealthCheck  struct{ Test []string }
		Config       struct {
			User         string
			Env          []string
			Entrypoint   []string
			ExposedPorts map[string]struct{}
			Volumes      map[string]struct{}
			Labels       map[string]string
		}
	}
	raw := podman.do(t, "image", "inspect", name)
	if err := json.Unmarshal([]byte(raw), &inspected); err != nil || len(inspected) != 1 {
		t.Fatalf("%v in\n%s", err, raw)
	}
	image := inspected[0]
	command := []string{"/usr/bin/drone-otel-agent", "--config.file=/etc/drone-otel-agent/config.yaml"}
	check := slices.Concat([]string{"CMD"}, command, []string{"healthcheck"})
	version := strings.Fields(podman.do(t, runs("--rm", "--network=none", name, "--version")...))
	for what, right := range map[string]bool{
		"architecture":  image.Architecture == runtime.GOARCH,
		"user":          image.Config.User == "65532:65532",
		"entrypoint":    slices.Equal(image.Config.Entrypoint, command),
		"health check":  slices.Equal(image.HealthCheck.Test, check),
		"state":         slices.Contains(image.Config.Env, "STATE_DIRECTORY=/var/lib/drone-otel-agent"),
		"volumes":       fmt.Sprint(image.Config.Volumes) == "map[/var/lib/drone-otel-agent:{}]",
		"ports":         fmt.Sprint(image.Config.ExposedPorts) == "map[9464/tcp:{}]",
		"version":       image.Config.Labels["org.opencontainers.image.version"] == version[2],
		"license":       image.Config.Labels["org.opencontainers.image.licenses"] == "Apache-2.0",
		"revision, set": strings.Contains(raw, `"org.opencontainers.image.revision"`),
	} {
		if !right {
			t.Errorf("%s: not as it should be in\n%s", what, raw)
		}
	}
}

// TestReproducible builds the image once more, of the same binary, in another storage and from a checkout that only its
// owner can read. Its files are the same; what else it holds, Docker's format has a random host name in.
func TestReproducible(t *testing.T) {
	epoch := podman.do(t, "image", "inspect", "--format={{.Created.Unix}}", name)
	defer syscall.Umask(syscall.Umask(0o077))
	other, checkout := newEngine(t.TempDir()), t.TempDir()
	if _, err := output(t.Context(), "env", "--chdir=../..", "cp", "--parents", "--target-directory="+checkout, "Makefile",
		"Containerfile", ".containerignore", "LICENSE", "deploy/container/config.yaml", "bin/drone-otel-agent"); err != nil {
		t.Fatal(err)
	}
	if err := other.build(t.Context(), checkout, "--old-file=build", "SOURCE_DATE_EPOCH="+epoch); err != nil {
		t.Fatal(err)
	}
	inspect := []string{"image", "inspect", "--format={{.RootFS.Layers}}", name}
	first, second := podman.do(t, inspect...), other.do(t, inspect...)
	if first != second || !strings.Contains(first, "sha256:") {
		t.Errorf("the same sources made images of %s and of %s", first, second)
	}
}

// TestIgnored: what docker must not see of the checkout is what podman must not see.
func TestIgnored(t *testing.T) {
	var texts []string
	for _, file := range []string{".containerignore", "Containerfile.dockerignore"} {
		raw, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(raw))
	}
	if texts[0] != texts[1] {
		t.Errorf(".containerignore says\n%s\nContainerfile.dockerignore says\n%s", texts[0], texts[1])
	}
}
