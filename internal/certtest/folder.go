package certtest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Way is how files are replaced.
type Way string

// The ways: people use mv or an editor that writes in place, Kubernetes swaps a link.
const (
	Rename   Way = "rename"
	InPlace  Way = "in place"
	LinkSwap Way = "link swap"
)

// Ways are all of them.
func Ways() []Way { return []Way{Rename, InPlace, LinkSwap} }

// Folder holds files that are replaced while a program reads them.
type Folder struct {
	way     Way
	path    string
	version int
	files   map[string][]byte
}

// NewFolder makes one without files.
func NewFolder(t testing.TB, way Way) *Folder {
	t.Helper()
	return &Folder{way: way, path: t.TempDir(), files: map[string][]byte{}}
}

// Path is where a file of that name is, or will be.
func (f *Folder) Path(name string) string { return filepath.Join(f.path, name) }

// Put writes files, by name, in the folder's way. The others stay.
func (f *Folder) Put(t testing.TB, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		f.files[name] = content
	}
	switch f.way {
	case LinkSwap:
		f.swap(t)
	case Rename:
		for name, content := range files {
			write(t, f.Path(name+".new"), content)
			must(t, os.Rename(f.Path(name+".new"), f.Path(name)))
		}
	default:
		for name, content := range files {
			write(t, f.Path(name), content)
		}
	}
}

// PutPair writes a certificate and its key as cert.pem and key.pem.
func (f *Folder) PutPair(t testing.TB, pair Pair) {
	t.Helper()
	f.Put(t, map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key})
}

// swap does as Kubernetes does for a mounted secret: every file is a link through the link ..data, which is moved to
// a folder with all files anew.
func (f *Folder) swap(t testing.TB) {
	t.Helper()
	f.version++
	current := ".." + strconv.Itoa(f.version)
	must(t, os.Mkdir(f.Path(current), 0o700))
	for name, content := range f.files {
		write(t, filepath.Join(f.path, current, name), content)
		if _, err := os.Lstat(f.Path(name)); err != nil {
			must(t, os.Symlink(filepath.Join("..data", name), f.Path(name)))
		}
	}
	must(t, os.Symlink(current, f.Path("..next")))
	must(t, os.Rename(f.Path("..next"), f.Path("..data")))
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o600))
}

// must ends the test at an error, which names the path.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
