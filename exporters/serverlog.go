package exporters

import (
	"bytes"
	"context"
	"log/slog"

	"golang.org/x/time/rate"
)

// serverLog is behind the log.Logger of an http.Server, which knows no levels.
type serverLog struct {
	logger  *slog.Logger
	clients *rate.Sometimes
}

func (l *serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	switch {
	case bytes.Contains(line, []byte("panic serving")):
		level = slog.LevelError
	case bytes.Contains(line, []byte("Accept error")):
		level = slog.LevelWarn // out of file descriptors
	default:
		l.clients.Do(func() { level = slog.LevelInfo })
	}
	l.logger.Log(context.Background(), level, "HTTP server", "err", string(bytes.TrimSpace(line)))
	return len(line), nil
}
