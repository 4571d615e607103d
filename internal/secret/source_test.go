package secret_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"drone-otel-agent/internal/secret"
)

// write makes a token file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	rewrite(t, path, text)
	return path
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dated sets the file's times.
func dated(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func wantGet(t *testing.T, source secret.Source, want string) {
	t.Helper()
	if got, err := source.Get(); got.Reveal() != want || err != nil {
		t.Errorf("the file gives %q, %v, want %q", got.Reveal(), err, want)
	}
}

func TestFileChanges(t *testing.T) {
	yesterday := time.Now().Add(-24 * time.Hour)
	for name, change := range map[string]func(t *testing.T, path string){
		"written over": func(t *testing.T, path string) { rewrite(t, path, "second") },
		"written over, another size, the same time": func(t *testing.T, path string) {
			rewrite(t, path, "second")
			dated(t, path, yesterday)
		},
		"written over, the same size": func(t *testing.T, path string) { rewrite(t, path, "secnd") },
		"moved, the same size and time": func(t *testing.T, path string) {
			next := path + ".new"
			rewrite(t, next, "secnd")
			dated(t, next, yesterday)
			if err := os.Rename(next, path); err != nil {
				t.Fatal(err)
			}
		},
		"removed and made again": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			rewrite(t, path, "secnd")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "first\n")
			rewrite(t, path, "first")
			dated(t, path, yesterday)
			source := secret.NewFile(path)
			wantGet(t, source, "first")
			wantGet(t, source, "first")
			change(t, path)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wantGet(t, source, string(raw))
		})
	}
}

// TestFileWithinOneStepOfTime changes a file so soon that a coarse clock shows the same time, in the same bytes.
func TestFileWithinOneStepOfTime(t *testing.T) {
	path, now := write(t, "first"), time.Now().Truncate(time.Second)
	source := secret.NewFile(path)
	for i := range 20 {
		want := fmt.Sprintf("%05d", i)
		rewrite(t, path, want)
		dated(t, path, now)
		wantGet(t, source, want)
	}
	// A clock that is behind the file's.
	dated(t, path, now.Add(time.Hour))
	wantGet(t, source, "00019")
	rewrite(t, path, "later")
	dated(t, path, now.Add(time.Hour))
	wantGet(t, source, "later")
}

// TestFileIsNotReadAgain shows that an old file that seems the same is believed to be: its content is changed
// under the same time, size and identity, which nothing but the test does.
func TestFileIsNotReadAgain(t *testing.T) {
	path, yesterday := write(t, "first"), time.Now().Add(-24*time.Hour)
	dated(t, path, yesterday)
	source := secret.NewFile(path)
	wantGet(t, source, "first")
	rewrite(t, path, "other")
	dated(t, path, yesterday)
	wantGet(t, source, "first")
}

// TestLinkSwap is how Kubernetes updates a secret: the file is a link into a folder that is itself one.
func TestLinkSwap(t *testing.T) {
	dir, yesterday := t.TempDir(), time.Now().Add(-24*time.Hour)
	for name, text := range map[string]string{"..1": "first", "..2": "secnd"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(dir, name, "token"), text)
		dated(t, filepath.Join(dir, name, "token"), yesterday)
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link(filepath.Join("..data", "token"), "token")
	source := secret.NewFile(filepath.Join(dir, "token"))
	wantGet(t, source, "first")
	link("..2", "..next")
	if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	wantGet(t, source, "secnd")
}

func TestFileContent(t *testing.T) {
	for text, want := range map[string]string{
		word: word, word + "\n": word, "  \t" + word + "\r\n\n": word, "a": "a", "a.b-c_d~e+f/g==": "a.b-c_d~e+f/g==",
		strings.Repeat("x", 64<<10): strings.Repeat("x", 64<<10),
	} {
		wantGet(t, secret.NewFile(write(t, text)), want)
	}
	const characters = "it holds characters that no token has; save it as plain ASCII, without a byte order mark"
	const words = "it holds more than one word; a token file holds the token and nothing else"
	for text, want := range map[string]string{
		"": "it is empty", "\r\n": "it is empty", word + "\n" + word: words, "token: " + word: words, word + "\t#": words,
		"\ufeff" + word: characters, word + "\x00": characters,
		"\xff\xfef\x00e\x00": characters, word + "\x1b[2J": characters,
		"pässword":                    characters,
		strings.Repeat("x", 64<<10+1): "it has more than 65536 bytes; a token file holds the token and nothing else",
	} {
		path := write(t, text)
		wantError(t, secret.NewFile(path), "reading the token file "+path+": "+want)
	}
}

func wantError(t *testing.T, source secret.Source, want string, is ...error) {
	t.Helper()
	text, err := source.Get()
	if err == nil || err.Error() != want || !text.Empty() {
		t.Errorf("the file gives %q, %v, want the error %q", text.Reveal(), err, want)
	}
	for _, kind := range is {
		if !errors.Is(err, kind) {
			t.Errorf("error %v is not %v", err, kind)
		}
	}
	wantNone(t, "the error", fmt.Sprint(err))
}

func TestFileMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	source := secret.NewFile(path)
	const missing = ": no such file or directory"
	wantError(t, source, "reading the token file: stat "+path+missing, fs.ErrNotExist)
	rewrite(t, path, "first")
	dated(t, path, time.Now().Add(-time.Hour))
	wantGet(t, source, "first")
	// What was known is not given out for a file that is gone, and is not lost with it either.
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	wantError(t, source, "reading the token file: stat "+path+missing)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	wantGet(t, source, "first")
}

func TestNotAFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs pipes and devices")
	}
	dir := t.TempDir()
	wantError(t, secret.NewFile(dir), "reading the token file "+dir+": it is a directory")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, secret.NewFile(pipe), "reading the token file "+pipe+": it is not a regular file")
	wantError(t, secret.NewFile("/dev/zero"), "reading the token file /dev/zero: it is not a regular file")
}

func TestFileNotReadable(t *testing.T) {
	path := write(t, word)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if file, err := os.Open(path); err == nil {
		_ = file.Close()
		t.Skip("this user may read everything")
	}
	wantError(t, secret.NewFile(path), "reading the token file "+path+": permission denied", fs.ErrPermission)
}

// TestFileForMany asks from many goroutines while the file changes.
func TestFileForMany(t *testing.T) {
	path := write(t, "00000")
	source := secret.NewFile(path)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if text, err := source.Get(); err != nil || len(text.Reveal()) != 5 {
					t.Errorf("%q, %v", text.Reveal(), err)
				}
			}
		})
	}
	for i := range 100 {
		next := path + ".new"
		rewrite(t, next, fmt.Sprintf("%05d", i))
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	wantGet(t, source, "00099")
}
