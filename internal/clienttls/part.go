package clienttls

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
)

// part is what is made of one file, or of two that belong together.
type part[T any] struct {
	name  string // in errors
	files []string
	parse func(contents [][]byte) (T, error)

	good      T
	contents  [][]byte // that good was made of
	complaint string   // about the files as they are; empty where they are fine
}

// renew reads the files again and tells whether they hold something else now. A nil part has no files.
func (p *part[T]) renew(log *slog.Logger) (changed bool) {
	if p == nil {
		return false
	}
	changed, err := p.refresh()
	before := p.complaint
	p.complaint = ""
	switch {
	case err != nil:
		p.complaint = err.Error()
		if p.complaint != before {
			log.Warn("renewed certificate files cannot be used; what was read before stays in use", "err", err)
		}
	case changed:
		log.Info("renewed certificate files are in use", "files", p.files)
	case before != "":
		log.Info("the certificate files are again what they were", "files", p.files)
	}
	return changed
}

// refresh compares contents, not times: the files are small, and file systems tell time in coarse steps.
func (p *part[T]) refresh() (changed bool, err error) {
	contents := make([][]byte, len(p.files))
	for i, file := range p.files {
		if contents[i], err = read(file); err != nil {
			return false, fmt.Errorf("reading %s: %w", p.name, err)
		}
	}
	if slices.EqualFunc(p.contents, contents, bytes.Equal) {
		return false, nil
	}
	parsed, err := p.parse(contents)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", p.name, err)
	}
	p.good, p.contents = parsed, contents
	return true, nil
}

// read does not touch a pipe, where it would wait for a writer, with whoever wants to connect. A file that ends within
// a block is being written: the certificates before it would be a bundle that lacks some.
func read(file string) ([]byte, error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	content, err := os.ReadFile(file) //nolint:gosec // the path is the operator's own configuration
	if err == nil && bytes.Count(content, []byte("-----BEGIN ")) != bytes.Count(content, []byte("-----END ")) {
		return nil, fmt.Errorf("%s ends within a PEM block", file)
	}
	return content, err
}
