// Package journal gives the lines that are written for systemd's journal their levels.
package journal

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// Writer puts the level before every line, as sd-daemon(3) has it: the journal takes "<3>" at the beginning of a line
// for its priority. Every Write is expected to hold whole lines.
func Writer(out io.Writer, level slog.Level) io.Writer {
	return &writer{out: out, prefix: prefix(level)}
}

type writer struct {
	out    io.Writer
	prefix []byte
}

// prefix is the priority of syslog(3) that says the same as a level.
func prefix(level slog.Level) []byte {
	switch {
	case level >= slog.LevelError:
		return []byte("<3>")
	case level >= slog.LevelWarn:
		return []byte("<4>")
	case level >= slog.LevelInfo:
		return []byte("<6>")
	}
	return []byte("<7>")
}

func (w *writer) Write(text []byte) (int, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		out.Write(w.prefix)
		out.Write(line)
	}
	if _, err := w.out.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Logger makes a logger whose lines carry their levels. handler makes one that writes whole lines to a writer.
func Logger(out io.Writer, handler func(io.Writer) slog.Handler) *slog.Logger {
	shared := &locked{out: out}
	var levels byLevel
	for i, level := range levelsOf() {
		levels[i] = handler(Writer(shared, level))
	}
	return slog.New(levels)
}

func levelsOf() [4]slog.Level {
	return [4]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
}

// byLevel has a handler for each of levelsOf.
type byLevel [4]slog.Handler

func (h byLevel) of(level slog.Level) slog.Handler {
	found := h[0]
	for i, least := range levelsOf() {
		if level >= least {
			found = h[i]
		}
	}
	return found
}

// Enabled implements slog.Handler.
func (h byLevel) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h byLevel) Handle(ctx context.Context, record slog.Record) error {
	return h.of(record.Level).Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h byLevel) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range h {
		h[i] = h[i].WithAttrs(attrs)
	}
	return h
}

// WithGroup implements slog.Handler.
func (h byLevel) WithGroup(name string) slog.Handler {
	for i := range h {
		h[i] = h[i].WithGroup(name)
	}
	return h
}

// locked keeps lines of different levels whole.
type locked struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *locked) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(text)
}
