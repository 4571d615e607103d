package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryPackageLooksForLeaks holds that the tests of each package of this module end with a look for goroutines
// that they left behind. The Collector and Prometheus, which run inside the tests of e2e/, leave some of their own.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	t.Parallel()
	looks := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "e2e" || path == "tools" || strings.HasPrefix(path, ".g")):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		raw, err := os.ReadFile(path)
		looks[filepath.Dir(path)] = looks[filepath.Dir(path)] || bytes.Contains(raw, []byte("goleak."))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, found := range looks {
		if !found {
			t.Errorf("the tests in %s do not use goleak", folder)
		}
	}
	if len(looks) < 5 {
		t.Errorf("only %d packages with tests", len(looks))
	}
}
