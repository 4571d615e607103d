package agent

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"drone-otel-agent/instruments"
)

// Service is the service manager that the agent runs under. The zero value is none.
type Service struct {
	// Notify hands over a message in the words of sd_notify(3); nil is nobody.
	Notify func(state string) error
	// Watchdog is how long the manager waits for a sign of life before it restarts the agent; 0 is for ever.
	Watchdog time.Duration
}

const (
	// readyPatience is how long the first poll may take before the agent calls itself ready all the same: it must not
	// be killed because Drone hangs.
	readyPatience = 15 * time.Second
	// statusInterval is how often the age of the data is told.
	statusInterval = 5 * time.Second
	// beatSpacing is the least time between two signs of life.
	beatSpacing = time.Second
	// watchdogSlack is what may come on top of two requests without a sign of life: their turn, a retry, the state on
	// a slow disk.
	watchdogSlack = 30 * time.Second
)

// service tells the service manager how the agent is doing. All methods may be called at the same time.
type service struct {
	Service
	now func() time.Time
	log *slog.Logger

	mu sync.Mutex
	// failed tells that the last message could not be handed over.
	failed bool
	// ready tells that the start is over, owed that the manager could not be told so, and over that the end has begun.
	ready, owed, over bool
	beaten            time.Time
	// newest, failure and refused are what the status is made of: the newest snapshot, the error of the last poll
	// and why the newest configuration was not taken over.
	newest           *instruments.Snapshot
	failure, refused string
}

func newService(s Service, log *slog.Logger) *service {
	return &service{Service: s, now: time.Now, log: log}
}

// send hands over a message, and tells whether it could; mu is held.
func (s *service) send(messages ...string) bool {
	if s.Notify == nil || s.over {
		return true
	}
	err := s.Notify(strings.Join(messages, "\n"))
	if err != nil && !s.failed {
		s.log.Warn("the service manager cannot be told how the agent is doing", "error", err)
	}
	s.failed = err != nil
	return !s.failed
}

// spare makes sure that the manager waits longer than the longest request may take: that Drone is slow is no reason
// to restart the agent.
func (s *service) spare(request time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The headers of one answer are a sign of life, and the next are those of the answer after it.
	if least := 2*request + watchdogSlack; s.Watchdog > 0 && s.Watchdog < least {
		s.Watchdog = least
		s.send(fmt.Sprintf("WATCHDOG_USEC=%d", least.Microseconds()))
		s.log.Info("the watchdog is given more time, as drone.timeout is long", "watchdog", least)
	}
}

// beatInterval is how often a sign of life is due while there is nothing to do; 0 is never.
func (s *service) beatInterval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Watchdog / 4
}

// beat is a sign of life. Only the poll loop may give it: it is the part that must not hang.
func (s *service) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.Watchdog > 0 && now.Sub(s.beaten) >= min(beatSpacing, s.Watchdog/4) {
		s.beaten = now
		s.send("WATCHDOG=1")
	}
}

// polled takes what is known after a poll, and the poll's error.
func (s *service) polled(newest *instruments.Snapshot, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest, s.failure = newest, ""
	if err != nil {
		s.failure = oneLine(err)
	}
	s.send("STATUS=" + s.status())
}

// nowReady tells that the start is over; more than once is once.
func (s *service) nowReady() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready {
		s.ready = true
		s.owed = !s.send("READY=1", "STATUS="+s.status())
	}
}

// tellStatus tells the status anew, with the age of the data.
func (s *service) tellStatus() {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := []string{"STATUS=" + s.status()}
	if s.owed {
		messages = append(messages, "READY=1")
	}
	if s.send(messages...) {
		s.owed = false
	}
}

func (s *service) reloading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send("RELOADING=1", "STATUS=reading the configuration anew")
}

// reloaded tells that a reload is over. An agent that was not ready yet is not made so.
func (s *service) reloaded(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = ""
	if err != nil {
		s.refused = oneLine(err)
	}
	messages := []string{"STATUS=" + s.status()}
	if s.ready {
		messages = append(messages, "READY=1")
	}
	s.send(messages...)
}

func (s *service) stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send("STOPPING=1", "STATUS=stopping")
	s.over = true
}

// status is what `systemctl status` shows; mu is held.
func (s *service) status() string {
	var parts []string
	switch {
	case s.newest == nil:
		parts = append(parts, "waiting for Drone's first answer")
	case s.newest.Fresh.IsZero():
		parts = append(parts, "nothing is known of Drone yet")
	default:
		if server := s.newest.Server; server != nil {
			parts = append(parts, fmt.Sprintf("watching Drone %s (%s)", server.Version, server.Edition))
		}
		age := max(0, s.now().Sub(s.newest.Fresh)).Round(time.Second)
		parts = append(parts, fmt.Sprintf("data is %s old", age))
	}
	if s.failure != "" {
		parts = append(parts, "last poll failed: "+s.failure)
	}
	if s.refused != "" {
		parts = append(parts, "the newest configuration was refused: "+s.refused)
	}
	return strings.Join(parts, "; ")
}

// oneLine is an error as a part of the status, in which a line break would begin another message.
func oneLine(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
