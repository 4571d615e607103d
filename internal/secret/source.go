package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// maxFileSize bounds a token file. Drone's tokens have 32 characters; a JWT some thousand. A larger file
// is some other file.
const maxFileSize = 64 << 10

// Source gives a secret that may change while the program runs.
type Source interface {
	// Get returns the secret as it is now. An error says which file could not be read and why.
	Get() (Text, error)
}

// Static is a source that never changes.
func Static(t Text) Source { return static{t} }

type static struct{ text Text }

func (s static) Get() (Text, error) { return s.text, nil }

// File is a source that reads a file, and reads it again when its modification time, size or identity
// has changed (Kubernetes swaps a link, systemd a directory, people use mv).
type File struct {
	path string

	mu   sync.Mutex
	info os.FileInfo
	read time.Time
	text Text
}

// NewFile makes a source of the file at path. It is read at the first Get, not here.
func NewFile(path string) *File { return &File{path: path} }

// settled is how old a modification must be, seen from the read, for the modification time to be trusted
// to tell the next one: file systems keep times in steps, some of a second or two.
const settled = 2 * time.Second

// Get returns the file's content without surrounding white space. An empty file is an error: a token
// that is being written is better asked for again than sent as nothing.
func (f *File) Get() (Text, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return Text{}, fmt.Errorf("reading the token file: %w", err)
	}
	if f.unchanged(info) {
		return f.text, nil
	}
	now := time.Now()
	text, err := readFile(f.path, info)
	if err != nil {
		return Text{}, fmt.Errorf("reading the token file %s: %w", f.path, err)
	}
	f.info, f.read, f.text = info, now, text
	return text, nil
}

func (f *File) unchanged(info os.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() &&
		f.info.ModTime().Equal(info.ModTime()) && f.read.Sub(info.ModTime()) > settled
}

func readFile(path string, info os.FileInfo) (Text, error) {
	switch {
	case info.IsDir():
		return Text{}, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		// A pipe would make the reader wait, and could not be read again.
		return Text{}, errors.New("it is not a regular file")
	}
	file, err := os.Open(path) //nolint:gosec // the path is the operator's own configuration
	if err != nil {
		return Text{}, cause(err)
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return Text{}, cause(err)
	}
	token := strings.TrimSpace(string(raw))
	switch {
	case len(raw) > maxFileSize:
		return Text{}, fmt.Errorf("it has more than %d bytes; a token file holds the token and nothing else", maxFileSize)
	case token == "":
		return Text{}, errors.New("it is empty")
	case strings.ContainsAny(token, "\r\n \t"):
		return Text{}, errors.New("it holds more than one word; a token file holds the token and nothing else")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Text{}, errors.New("it holds characters that no token has; save it as plain ASCII, without a byte order mark")
	}
	return New(token), nil
}

// cause leaves out the path, which the caller names.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
