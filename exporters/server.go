package exporters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"
)

// ServerConfig is what a [Server] is made of. Metrics is needed, the rest has defaults.
type ServerConfig struct {
	// Addresses to listen on, as host:port; ":9464" where there is none.
	Addresses []string
	// SystemdSocket takes the sockets systemd has opened instead.
	SystemdSocket bool
	// WebConfigFile is exporter-toolkit's web configuration: TLS, mutual TLS, basic auth, headers. It is
	// read again for each connection.
	WebConfigFile string
	// MetricsPath is where Metrics is served; "/metrics" where it is empty.
	MetricsPath string
	// Metrics is the exposition, see [Provider.Handler].
	Metrics http.Handler
	// Guard decides who may read Metrics; nil is [OpenGuard].
	Guard Guard
	// Reload reads the configuration anew and takes it over; nil is that it cannot. It returns what waits for a
	// restart, and why nothing was taken over. Asked for at POST /-/reload, behind Guard; where that lets in
	// everyone it lets in nobody.
	Reload func(context.Context) (waiting []string, err error)
	// Ready tells whether the first poll is over, good or bad; nil is always. It is asked at each /-/ready.
	Ready func() bool
	// Front is what people see at /, and programs at [StatusPath]; nil is nothing.
	Front Front
	// Identity tells this agent's sessions apart from those of another one on the same host: what it watches.
	Identity string
	// Logger gets what goes wrong while running; nil discards it.
	Logger *slog.Logger
}

// limits are against clients that are slow, huge or many.
type limits struct {
	readHeader, read, write, idle time.Duration
	headerBytes                   int
	bodyBytes                     int64
	connections                   int
	// scrapes is how many are answered at once. patience is how long another waits for its turn, and pace how long a
	// client may take nothing of its answer meanwhile.
	scrapes        int
	patience, pace time.Duration
}

// maxStreams is how many requests one connection with HTTP/2 may have under way. Prometheus has one.
const maxStreams = 16

// defaultLimits: a scrape request has some hundred bytes, its answer some megabytes at most; before it the
// guard may have to wait for Drone.
func defaultLimits() limits {
	return limits{
		readHeader: 5 * time.Second, read: 10 * time.Second,
		write: 60 * time.Second, idle: 2 * time.Minute,
		headerBytes: 16 << 10, bodyBytes: 1 << 10,
		connections: connectionsAllowed(),
		scrapes:     maxScrapes, patience: 3 * time.Second, pace: time.Second,
	}
}

// Server is the agent's HTTP server. Its life is [Server.Listen], [Server.Serve], [Server.Shutdown].
type Server struct {
	cfg         ServerConfig
	limits      limits
	handler     http.Handler
	connections *connections

	mu        sync.Mutex
	listeners []net.Listener
	servers   []*http.Server // one for each listener
	closed    bool
	once      sync.Once
	down      chan struct{} // closed when Shutdown has finished
}

// NewServer checks the configuration and makes a server that does not listen yet. An error names the
// setting or, for the web configuration, the file, and what is wrong.
func NewServer(cfg ServerConfig) (*Server, error) { return newServer(cfg, defaultLimits()) }

func newServer(cfg ServerConfig, lim limits) (*Server, error) {
	if cfg.MetricsPath == "" {
		cfg.MetricsPath = "/metrics"
	}
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []string{":9464"}
	}
	if cfg.Guard == nil {
		cfg.Guard = OpenGuard()
	}
	if cfg.Ready == nil {
		cfg.Ready = func() bool { return true }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		return nil, errors.New("making the HTTP server: it has no metrics to serve")
	}
	err := errors.Join(ValidateMetricsPath(cfg.MetricsPath), ValidateWebConfig(cfg.WebConfigFile, !letsAnyone(cfg.Guard)))
	if err != nil {
		return nil, err
	}
	cfg.Metrics = takeTurns(cfg.Metrics, lim)
	handler, err := routes(cfg, lim)
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg: cfg, limits: lim, handler: handler, connections: newConnections(lim.connections), down: make(chan struct{}),
	}, nil
}

// Serve answers requests on the listeners until Shutdown has finished, and then returns nil. An error is why
// a listener ended before that; the others are closed then. When ctx ends everything is cut short at once,
// running requests too.
func (s *Server) Serve(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	if len(s.listeners) == 0 {
		s.mu.Unlock()
		return errors.New("serving HTTP: the server does not listen")
	}
	// exporter-toolkit changes the http.Server it serves with, so that each listener needs its own
	// (web.ServeMultiple would wrap the handler once for each listener, in a race).
	var group errgroup.Group
	for _, listener := range s.listeners {
		server := s.newHTTPServer(ctx)
		s.servers = append(s.servers, server)
		group.Go(func() error { return s.serveOne(server, listener) })
	}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.closeAll)
	defer stop()
	if err := group.Wait(); err != nil {
		return err
	}
	// http.Server's Serve returns as soon as Shutdown begins. Who sees Serve return may end what the
	// running requests need.
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		<-s.down
	}
	return nil
}

func (s *Server) serveOne(server *http.Server, listener net.Listener) error {
	flags := &web.FlagConfig{WebConfigFile: &s.cfg.WebConfigFile}
	err := web.Serve(listener, server, flags, s.cfg.Logger)
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	s.closeAll()
	return fmt.Errorf("serving HTTP on %s: %w", listener.Addr(), err)
}

func (s *Server) newHTTPServer(ctx context.Context) *http.Server {
	return &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.limits.readHeader,
		ReadTimeout:       s.limits.read,
		WriteTimeout:      s.limits.write,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    s.limits.headerBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnState:         s.connections.state,
		ErrorLog:          newServerLog(s.cfg.Logger, s.validateWebConfig),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
}

func (s *Server) validateWebConfig() error {
	return ValidateWebConfig(s.cfg.WebConfigFile, !letsAnyone(s.cfg.Guard))
}

// lastRequests is how long connections that were taken already have to say what they want, at the end.
const lastRequests = time.Second

// Shutdown takes no new connections and waits for the requests under way, until ctx ends; then it cuts them short and
// says so. Serve returns nil. It may be called at any time, also when nothing is served.
//
// The connections come first: http.Server closes those on which a request arrives only now without an answer. With a
// socket of systemd's that would be the one scrape that gets lost at a restart; connections that nobody has taken stay
// in its queue.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.once.Do(func() { close(s.down) })
	s.mu.Lock()
	s.closed = true
	servers, listeners := s.servers, s.listeners
	s.mu.Unlock()
	for _, listener := range listeners {
		_ = listener.Close()
	}
	for _, server := range servers {
		server.SetKeepAlivesEnabled(false)
	}
	settling, cancel := context.WithTimeout(ctx, lastRequests)
	defer cancel()
	s.connections.settle(settling)
	s.connections.closeNew()
	var group errgroup.Group
	for _, server := range servers {
		group.Go(func() error {
			if err := server.Shutdown(ctx); !errors.Is(err, net.ErrClosed) { // the listener was
				return err
			}
			return nil
		})
	}
	err := group.Wait()
	if err != nil {
		s.closeAll()
		return fmt.Errorf("waiting for running scrapes to finish: %w", err)
	}
	return nil
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		_ = server.Close()
	}
}
