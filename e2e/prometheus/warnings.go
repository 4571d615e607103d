package prometheus

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// warnings is a log handler that keeps warnings and errors and drops the rest.
type warnings struct {
	mu    sync.Mutex
	lines []string
}

// Enabled lets warnings and errors in.
func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle keeps the message with the record's own attributes.
func (w *warnings) Handle(_ context.Context, record slog.Record) error {
	parts := []string{record.Message}
	record.Attrs(func(a slog.Attr) bool {
		parts = append(parts, a.String())
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, strings.Join(parts, " "))
	return nil
}

// WithAttrs drops the logger's attributes: the message and the record's own are enough to tell.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup is as WithAttrs.
func (w *warnings) WithGroup(string) slog.Handler { return w }

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}
