package exporters

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// newServerLog takes what http.Server has to say into the agent's log. Most of it is about clients, a port
// scanner or a Prometheus that speaks TLS where there is none: one such line in ten seconds is enough. webConfig
// tells what is wrong with the web configuration.
func newServerLog(logger *slog.Logger, webConfig func() error) *log.Logger {
	clients := &rate.Sometimes{Interval: 10 * time.Second}
	return log.New(&serverLog{logger: logger, clients: clients, webConfig: webConfig}, "", 0)
}

// serverLog is behind the log.Logger of an http.Server, which knows no levels and writes one line at a time.
type serverLog struct {
	logger    *slog.Logger
	clients   *rate.Sometimes
	webConfig func() error
	broken    string // what was last said to be wrong with it
}

func (l *serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	switch {
	case bytes.Contains(line, []byte("panic serving")):
		level = slog.LevelError
	case bytes.Contains(line, []byte("Accept error")):
		level = slog.LevelWarn // out of file descriptors
	default:
		l.clients.Do(func() {
			level = slog.LevelInfo
			l.checkWebConfig()
		})
	}
	l.logger.Log(context.Background(), level, "HTTP server", "err", string(bytes.TrimSpace(line)))
	return len(line), nil
}

// checkWebConfig tells a certificate of the agent's own that became bad from a client that is. The files are read for
// each connection, and what goes wrong with that ends up among the complaints about clients.
func (l *serverLog) checkWebConfig() {
	before := l.broken
	l.broken = ""
	if err := l.webConfig(); err != nil {
		l.broken = err.Error()
		if l.broken != before {
			l.logger.Error("the web configuration cannot be used; new connections are refused until it can", "err", err)
		}
	}
}
