package exporters

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// mostConnections is how many connections the server keeps, over all of its addresses. It leaves descriptors for the
// agent's own business where the limit is the usual 1,024, and bounds the memory that connections can cost: some
// 20 KB each, 50 KB with TLS.
const mostConnections = 512

// connections bounds how many connections there are. One more than there may be is taken all the same, and the one
// that has been of no use for longest is closed for it: to refuse the newcomer would let whoever opens connections
// and says nothing keep Prometheus out.
type connections struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]connection
	// changed has a value after every change; one is as good as many.
	changed chan struct{}
}

// connection is what is known of one.
type connection struct {
	busy  bool // with a request, or with the beginning of one
	idle  bool // between two requests; a new one is neither
	since time.Time
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]connection{}, changed: make(chan struct{}, 1)}
}

// state is http.Server's ConnState.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	defer func() {
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.open, conn)
		return
	}
	if _, known := c.open[conn]; !known && state != http.StateNew {
		return // it has been closed for another
	}
	c.open[conn] = connection{
		busy: state == http.StateActive, idle: state == http.StateIdle, since: time.Now(),
	}
	if len(c.open) > c.most {
		c.closeOne(conn)
	}
}

// settle waits until no connection has a request, or is about to have its first one, or ctx ends.
func (c *connections) settle(ctx context.Context) {
	for !c.settled() {
		select {
		case <-c.changed:
		case <-ctx.Done():
			return
		}
	}
}

// closeNew closes the connections on which nothing was asked, nor has begun to be.
func (c *connections) closeNew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, now := range c.open {
		if !now.idle && !now.busy {
			c.close(conn)
		}
	}
}

func (c *connections) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, now := range c.open {
		if !now.idle {
			return false
		}
	}
	return true
}

// closeOne closes the connection that has been idle for longest, or where none is idle the one that has been busy for
// longest; mu is held.
func (c *connections) closeOne(except net.Conn) {
	var (
		found net.Conn
		least connection
	)
	for conn, now := range c.open {
		if conn == except {
			continue
		}
		sooner := now.since.Before(least.since)
		if now.busy != least.busy {
			sooner = !now.busy
		}
		if found == nil || sooner {
			found, least = conn, now
		}
	}
	if found == nil {
		return
	}
	c.close(found)
}

// close closes one; mu is held.
func (c *connections) close(conn net.Conn) {
	delete(c.open, conn)
	if secured, is := conn.(*tls.Conn); is {
		conn = secured.NetConn() // closing the other would wait until the client has taken a farewell
	}
	_ = conn.Close()
}
