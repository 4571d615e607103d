package dronetest

import (
	"maps"
	"net/http"
	"sync"
)

// accounting counts what was asked of the server and how much it sent.
type accounting struct {
	mu       sync.Mutex
	requests map[string]int
	bytes    int64
}

func (a *accounting) request(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.requests == nil {
		a.requests = make(map[string]int)
	}
	a.requests[key]++
}

func (a *accounting) sent(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes += int64(n)
}

// Requests gives the number of requests since the start or the last [Server.ResetAccounting], by
// method and URL template: "GET /api/repos/{owner}/{name}/builds/{number}". Faulty answers count.
func (s *Server) Requests() map[string]int {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	if s.counts.requests == nil {
		return map[string]int{}
	}
	return maps.Clone(s.counts.requests)
}

// RequestCount is the number of all requests, whatever they asked for.
func (s *Server) RequestCount() int {
	total := 0
	for _, n := range s.Requests() {
		total += n
	}
	return total
}

// BytesSent is the number of body bytes that handlers wrote, headers not counted.
func (s *Server) BytesSent() int64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return s.counts.bytes
}

// ResetAccounting sets the counts of requests and bytes to zero; the world stays as it is.
func (s *Server) ResetAccounting() {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.requests, s.counts.bytes = nil, 0
}

// countingWriter counts the bytes of a body on their way out.
type countingWriter struct {
	http.ResponseWriter
	counts *accounting
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.counts.sent(n)
	return n, err
}

// Flush passes on a flush, which faults need to get half an answer out.
func (w *countingWriter) Flush() {
	// An error means that the writer below cannot flush; then the answer goes out in one piece.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] find the writer below.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
