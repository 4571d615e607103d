package main

import (
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	systemdjournal "github.com/coreos/go-systemd/v22/journal"
	"github.com/prometheus/common/promslog"

	"drone-otel-agent/agent"
	"drone-otel-agent/internal/journal"
)

// newLogger makes the log, and the writer for errors beside it. What goes to systemd's journal carries its level, so
// that `journalctl -p warning` finds it.
func newLogger(line *commandLine, stderr io.Writer) (*slog.Logger, io.Writer) {
	handler := func(out io.Writer) slog.Handler {
		line.log.Writer = out
		return promslog.New(&line.log).Handler()
	}
	if read, err := systemdjournal.StderrIsJournalStream(); err != nil || !read || stderr != os.Stderr {
		return slog.New(handler(stderr)), stderr
	}
	return journal.Logger(stderr, handler), journal.Writer(stderr, slog.LevelError)
}

// serviceManager is systemd where it started the agent.
func serviceManager(log *slog.Logger) agent.Service {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return agent.Service{}
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog is off: its environment variables cannot be read", "error", err)
	}
	return agent.Service{
		Watchdog: watchdog,
		Notify:   notify,
	}
}

// notifyPatience is how long the service manager may take to take a message. A watchdog's second is long enough for
// one that is well, and the poll loop must not hang with one that is not.
const notifyPatience = 500 * time.Millisecond

// notify hands a message to the service manager, as daemon.SdNotify does, which waits for ever.
func notify(state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyPatience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}

// socketsPassed tells that systemd has opened sockets for this process, as it does where the .socket unit is enabled:
// they are taken without --web.systemd-socket, too, as the port could not be had otherwise.
func socketsPassed() bool {
	return os.Getenv("LISTEN_FDS") != "" && os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid())
}
