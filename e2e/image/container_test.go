//go:build image

package image

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
)

// nobody is whom the agent runs as.
const nobody = 65532

// runs is a podman command that runs a container with as little as can be given to it, and not for long, also when
// the test is killed. podman has its health checks run by systemd; here the tests run them.
func runs(args ...string) []string {
	return append([]string{
		"run", "--timeout=100", "--cap-drop=all", "--security-opt=no-new-privileges",
		"--health-interval=disable", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
	}, args...)
}

// container is a running one.
type container struct{ id string }

func start(t *testing.T, args ...string) container {
	t.Helper()
	c := container{podman.do(t, runs(append([]string{"--detach"}, args...)...)...)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the container said:\n%s", c.log(t))
		}
	})
	return c
}

// log is what the agent has written so far; it may be asked for in a clean-up.
func (c container) log(t *testing.T) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	out, err := output(ctx, append([]string{"sh", "-c", `exec "$@" 2>&1`, "sh"}, podman.with("logs", c.id)...)...)
	if err != nil {
		return err.Error()
	}
	return out
}

func (c container) inspect(t *testing.T, what string) string {
	t.Helper()
	return podman.do(t, "inspect", "--format={{"+what+"}}", c.id)
}

// sick runs the image's health check, and returns what it said; nothing is that all is well.
func (c container) sick(t *testing.T) string {
	t.Helper()
	if _, err := podman.try(t.Context(), "healthcheck", "run", c.id); err == nil {
		return ""
	}
	return c.inspect(t, "range .State.Health.Log}}{{println .ExitCode .Output}}{{end")
}

// folder is what is mounted at /etc/drone-otel-agent: everything in it is nobody's, as are a Secret's files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scrape returns the metrics, or the status line of an answer that has none.
func scrape(t *testing.T, address, token string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK {
		return string(body), err
	}
	return resp.Status, nil
}

// awaitMetric waits for a line of the metrics, by a part of it.
func awaitMetric(t *testing.T, address, line string) {
	t.Helper()
	await.Until(t, line, func() error {
		text, err := scrape(t, address, dronetest.DefaultToken)
		if err != nil {
			return err
		}
		if !strings.Contains(text, line) {
			return fmt.Errorf("it is not in\n%.500s", text)
		}
		return nil
	})
}
