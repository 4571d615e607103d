//go:build image

package image

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// name is what the image is called here.
const name = "drone-otel-agent-test"

// podman has the image, built once for all tests.
var podman engine

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	ctx := context.Background()
	preparing, cancel := context.WithTimeout(ctx, preparation)
	defer cancel()
	if err := install(preparing); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder, err := os.MkdirTemp("/var/tmp", "image-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	podman = newEngine(folder)
	defer func() {
		_, _ = podman.try(ctx, "rm", "--all", "--force", "--volumes")
		_ = os.RemoveAll(folder)
	}()
	if err := podman.build(preparing, "../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
