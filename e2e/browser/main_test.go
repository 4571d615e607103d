//go:build browser

package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"drone-otel-agent/e2e/process"
)

// preparation bounds installing what is needed.
const preparation = 10 * time.Minute

// What all tests need, made once: the agent, the browser, and the text of axe-core.
var (
	binary, chromium string
	axe              string
)

func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(process.Main(m, "../..", &binary, 0))
}

func prepare() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), preparation)
	defer cancel()
	if chromium, err = installChromium(ctx); err != nil {
		return err
	}
	axe, err = fetchAxe(ctx)
	return err
}

// installChromium finds Chromium, or installs it as Debian packages it.
func installChromium(ctx context.Context) (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	for _, command := range [][]string{
		{"apt-get", "-q", "update"},
		{"apt-get", "-q", "-y", "install", "--no-install-recommends", "chromium", "fonts-dejavu-core"},
	} {
		install := exec.CommandContext(ctx, command[0], command[1:]...)
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := install.CombinedOutput(); err != nil {
			return "", fmt.Errorf("there is no Chromium, and %q: %w\n%s", command, err, output)
		}
	}
	return exec.LookPath("chromium")
}

// fetchAxe has npm bring axe-core, of the version and digest in package-lock.json, and returns its text.
func fetchAxe(ctx context.Context) (string, error) {
	folder, err := os.MkdirTemp("", "drone-otel-agent-axe-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return "", err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = folder
	if output, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching axe-core by npm: %w\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(folder, "node_modules", "axe-core", "axe.min.js"))
	return string(text), err
}
