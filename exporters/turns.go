package exporters

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// turns lets so many requests be answered at the same time, and others wait for a while, in the order in which they
// came. While somebody waits, a client that takes nothing of its answer is cut off: whoever reads a byte now and then
// must not keep the others from scraping. Alone it may be as slow as the server's time limit lets it be.
type turns struct {
	limits limits
	slots  chan struct{}

	mu      sync.Mutex
	waiting int
	taking  map[*turn]struct{}
}

func newTurns(lim limits) *turns {
	return &turns{limits: lim, slots: make(chan struct{}, lim.scrapes), taking: map[*turn]struct{}{}}
}

// takeTurns lets a handler answer so many requests at the same time.
func takeTurns(next http.Handler, lim limits) http.Handler {
	all := newTurns(lim)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { all.serve(w, r, next) })
}

// serve lets next answer when it is the request's turn.
func (t *turns) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	until := time.Now().Add(t.limits.write)
	if !t.begin(r.Context()) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("Too many requests at the same time: %d are being answered.", cap(t.slots)),
			http.StatusServiceUnavailable)
		return
	}
	mine := &turn{ResponseWriter: w, of: t, control: http.NewResponseController(w), until: until}
	t.mu.Lock()
	t.taking[mine] = struct{}{}
	t.mu.Unlock()
	defer t.end(mine)
	next.ServeHTTP(mine, r)
}

// begin waits for a slot; false is that there was none in time.
func (t *turns) begin(ctx context.Context) bool {
	select {
	case t.slots <- struct{}{}:
		return true
	default:
	}
	t.wait(+1)
	defer t.wait(-1)
	timer := time.NewTimer(t.limits.patience)
	defer timer.Stop()
	select {
	case t.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// wait counts who waits, and hurries the others when somebody begins to.
func (t *turns) wait(more int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting += more
	for one := range t.taking {
		one.hurry()
	}
}

func (t *turns) end(one *turn) {
	t.mu.Lock()
	delete(t.taking, one)
	one.relax()
	t.mu.Unlock()
	<-t.slots
}

// turn is the way to one client. mu of turns guards its fields.
type turn struct {
	http.ResponseWriter

	of      *turns
	control *http.ResponseController
	until   time.Time // the time limit of the whole answer
	writing bool
	hurried bool // the time limit is that of one write
}

// Write implements http.ResponseWriter. Of the metrics it is given a few KB at a time, of a page all.
func (t *turn) Write(p []byte) (int, error) {
	t.mark(true)
	defer t.mark(false)
	return t.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (t *turn) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// mark notes that a write begins, or that it has ended.
func (t *turn) mark(writing bool) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.writing = writing
	t.relax()
	t.hurry()
}

// hurry gives the write under way its time, where somebody waits.
func (t *turn) hurry() {
	if t.of.waiting == 0 || !t.writing || t.hurried {
		return
	}
	t.hurried = true
	if soon := time.Now().Add(t.of.limits.pace); soon.Before(t.until) {
		_ = t.control.SetWriteDeadline(soon)
	}
}

// relax takes it back.
func (t *turn) relax() {
	if t.hurried {
		t.hurried = false
		_ = t.control.SetWriteDeadline(t.until)
	}
}
