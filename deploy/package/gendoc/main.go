// Command gendoc writes the documents of the packages: manual pages of the flags and of the configuration's keys, the
// changelog as Debian has it, and the licences of the modules that are in the binary.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// release is what the documents say of the package that they are in.
type release struct {
	version    string
	maintainer string
	date       time.Time
}

func main() {
	binary := flag.String("binary", "", "the agent, which is asked for its flags")
	out := flag.String("out", "", "folder for the documents")
	command := flag.String("go", "go", "the go command that builds the binaries")
	arches := flag.String("arches", "amd64", "what it builds them for, with blanks between")
	var of release
	flag.StringVar(&of.version, "version", "", "of the package")
	flag.StringVar(&of.maintainer, "maintainer", "", "of the package: NAME <ADDRESS>")
	flag.Parse()
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		log.Fatalf("reading SOURCE_DATE_EPOCH: %v", err)
	}
	of.date = time.Unix(epoch, 0).UTC()
	with := toolchain{command: *command, arches: strings.Fields(*arches)}
	if err := write(context.Background(), *binary, *out, of, with); err != nil {
		log.Fatalf("writing the documents of the packages: %v", err)
	}
}

// write reads the sources from the working folder, which is the repository's.
func write(ctx context.Context, binary, out string, of release, with toolchain) error {
	for name, make := range map[string]func() ([]byte, error){
		"drone-otel-agent.1":      func() ([]byte, error) { return commandPage(ctx, binary, of) },
		"drone-otel-agent.yaml.5": func() ([]byte, error) { return fromFile("agent/config.yaml", of, configPage) },
		"changelog":               func() ([]byte, error) { return fromFile("CHANGELOG.md", of, debianChangelog) },
		"third-party-licenses":    func() ([]byte, error) { return with.licenses(ctx) },
	} {
		text, err := make()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		//nolint:gosec // a document that everybody may read
		if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fromFile(name string, of release, document func([]byte, release) ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(name) //nolint:gosec // a file of the repository
	if err != nil {
		return nil, err
	}
	return document(text, of)
}

//go:embed drone-otel-agent.1.tmpl
var commandTemplate string

//go:embed drone-otel-agent.yaml.5.tmpl
var configTemplate string

// commandPage is drone-otel-agent(1).
func commandPage(ctx context.Context, binary string, of release) ([]byte, error) {
	help, err := exec.CommandContext(ctx, binary, "--help-man").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --help-man: %w", binary, err)
	}
	sections := helpSections(help)
	for _, name := range []string{"DESCRIPTION", "OPTIONS", "COMMANDS"} {
		if len(sections[name]) == 0 {
			return nil, fmt.Errorf("%s --help-man: it has no section %s", binary, name)
		}
	}
	return page(commandTemplate, of, sections)
}

// configPage is drone-otel-agent.yaml(5).
func configPage(text []byte, of release) ([]byte, error) {
	sections, err := configSections(text)
	if err != nil {
		return nil, err
	}
	return page(configTemplate, of, sections)
}

func page(text string, of release, sections map[string]string) ([]byte, error) {
	layout, err := template.New("page").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	sections["date"] = of.date.Format(time.DateOnly)
	sections["version"] = roff(of.version)
	var out bytes.Buffer
	err = layout.Execute(&out, sections)
	return out.Bytes(), err
}
