package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a module that is in the binary, as `go list` tells it.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// licenses are the texts that come with the modules in the binary, and that must come with the binary.
func licenses(ctx context.Context) ([]byte, error) {
	modules, err := linked(ctx)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("The agent's binary contains Go's runtime and library and these modules. Their licences follow.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&out, "  %s %s\n", m.Path, m.Version)
	}
	for _, m := range modules {
		texts, err := licenseFiles(m.Dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		for _, file := range texts {
			text, err := os.ReadFile(file) //nolint:gosec // a file of a module that is built in
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&out, "\n%s\n%s: %s\n\n%s", bytes.Repeat([]byte("="), 80), m.Path, filepath.Base(file), text)
		}
	}
	return out.Bytes(), nil
}

// linked are the modules whose packages the agent imports, in order, after Go itself.
func linked(ctx context.Context) ([]module, error) {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Module", ".")
	list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	seen := map[string]module{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p struct{ Module *module }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the answer of go list: %w", err)
		}
		if p.Module != nil && !p.Module.Main {
			seen[p.Module.Path] = *p.Module
		}
	}
	var modules []module
	for _, m := range seen {
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	return slices.Insert(modules, 0, module{Path: "go.dev", Version: version, Dir: dir}), nil
}

// licenseFiles finds the texts in a module's folder; there must be one.
func licenseFiles(dir string) ([]string, error) {
	names := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if !entry.IsDir() && names.MatchString(entry.Name()) {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file in %s looks like a licence", dir)
	}
	return files, nil
}
