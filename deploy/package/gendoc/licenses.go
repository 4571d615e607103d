package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// module is a module that is in the binary, as `go list` tells it.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// golang has Go's own texts: many distributions keep them apart from GOROOT.
//
//go:embed go/LICENSE go/PATENTS
var golang embed.FS

// toolchain is the go command that builds the binaries, and what it builds them for.
type toolchain struct {
	command string
	arches  []string
}

// licenses are the texts that come with the modules in the binaries, and that must come with the binaries.
func (t toolchain) licenses(ctx context.Context) ([]byte, error) {
	modules, err := t.linked(ctx)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("The agent's binary contains Go's runtime and library and these modules. Their licences follow.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&out, "  %s %s\n", m.Path, m.Version)
	}
	for _, m := range modules {
		folder, err := m.folder()
		if err != nil {
			return nil, err
		}
		names, err := licenseFiles(folder)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(folder, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Path, err)
			}
			fmt.Fprintf(&out, "\n%s\n%s: %s\n\n%s", bytes.Repeat([]byte("="), 80), m.Path, name, text)
		}
	}
	return out.Bytes(), nil
}

// folder is where a module has its texts.
func (m module) folder() (fs.FS, error) {
	if m.Path == goItself {
		return fs.Sub(golang, "go")
	}
	return os.DirFS(m.Dir), nil
}

// goItself is what Go's runtime and library are called among the modules.
const goItself = "go.dev"

// linked are the modules whose packages the agent imports on one architecture or another, in order, after Go itself.
func (t toolchain) linked(ctx context.Context) ([]module, error) {
	seen := map[string]module{}
	for _, arch := range t.arches {
		list := exec.CommandContext(ctx, t.command, "list", "-deps", "-json=Module", ".") //nolint:gosec // the builder's go
		list.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		list.Stderr = os.Stderr
		output, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("%s list: %w", t.command, err)
		}
		if err := collect(seen, output); err != nil {
			return nil, fmt.Errorf("reading the answer of %s list: %w", t.command, err)
		}
	}
	modules := slices.SortedFunc(maps.Values(seen), func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	version, err := exec.CommandContext(ctx, t.command, "env", "GOVERSION").Output() //nolint:gosec // the builder's go
	if err != nil {
		return nil, fmt.Errorf("%s env: %w", t.command, err)
	}
	return slices.Insert(modules, 0, module{Path: goItself, Version: strings.TrimSpace(string(version))}), nil
}

// collect adds the modules of an answer of go list.
func collect(seen map[string]module, answer []byte) error {
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var p struct{ Module *module }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if p.Module != nil && !p.Module.Main {
			seen[p.Module.Path] = *p.Module
		}
	}
}

// licenseFiles finds the texts in a module's folder; there must be one.
func licenseFiles(folder fs.FS) ([]string, error) {
	like := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() && like.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no file in its folder looks like a licence")
	}
	return names, nil
}
