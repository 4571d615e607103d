package dronetest

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// DefaultToken belongs to the machine user prometheus, an admin, who exists from the start.
const DefaultToken = "fe8c402a51e6629aa1f43a4234afee81"

// DefaultVersion is what /version says until [Server.SetVersion].
const DefaultVersion = "2.25.0"

// Edition of Drone: what the server was built as.
type Edition int

const (
	// Enterprise is the default build, the drone/drone image.
	Enterprise Edition = iota
	// Community is the build with the tag oss: /api/queue, both /api/builds/incomplete and
	// /api/system/stats answer 501, and /metrics is empty.
	Community
)

// String gives the folder of the recorded answers.
func (e Edition) String() string {
	if e == Community {
		return "community"
	}
	return "enterprise"
}

// Server is a Drone server in memory. Its zero value is not usable; see [New].
type Server struct {
	now      func() time.Time
	counts   accounting
	pages    sync.Pool // *bytes.Buffer; the list of all repositories is megabytes
	faultsMu sync.Mutex
	fault    Interceptor

	mu      sync.RWMutex // guards what follows
	edition Edition
	version string
	shuffle *rand.Rand // nil: repositories in the order of their ids
	world   world
}

// Option changes a [Server] at its making.
type Option func(*Server)

// WithClock gives the server another clock than [time.Now]. The clock must be safe for concurrent
// use and must not call the server.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithShuffledRepos lists the repositories in another order with every request, so that pages
// overlap and miss rows. Drone's query has no ORDER BY; on PostgreSQL a row moves when it changes.
func WithShuffledRepos(seed uint64) Option {
	return func(s *Server) { s.shuffle = rand.New(rand.NewPCG(seed, seed)) }
}

// New gives a server that knows one user, prometheus, and no repositories.
func New(edition Edition, opts ...Option) *Server {
	s := &Server{now: time.Now, edition: edition, version: DefaultVersion}
	for _, o := range opts {
		o(s)
	}
	s.pages.New = func() any { return new(bytes.Buffer) }
	s.world = newWorld()
	s.world.addUser(User{Login: "prometheus", Machine: true, Admin: true, Active: true, Token: DefaultToken}, s.unix())
	return s
}

// SetEdition turns the running server into the other edition over the same database.
func (s *Server) SetEdition(e Edition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edition = e
}

// SetVersion changes what /version says, without a leading v. Below 1.6 the list of all
// repositories is missing, below 2.5 /api/builds/incomplete/v2; both are 404 then.
func (s *Server) SetVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// unix is the server's time in Unix seconds.
func (s *Server) unix() int64 { return s.now().Unix() }

// ServeHTTP counts the request, lets the interceptor have it, and else answers as Drone does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	template := URLTemplate(r)
	s.counts.request(r.Method + " " + template)
	cw := &countingWriter{ResponseWriter: w, counts: &s.counts}

	s.faultsMu.Lock()
	fault := s.fault
	s.faultsMu.Unlock()
	if fault != nil && fault(cw, r) {
		return
	}
	s.dispatch(cw, r)
}
