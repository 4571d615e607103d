package dronetest

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Interceptor answers a request in place of the server, or leaves it to the server with false.
// It runs before anything else is looked at, the caller's rights too.
type Interceptor func(w http.ResponseWriter, r *http.Request) (handled bool)

// Intercept puts f in front of all requests from now on, in place of the one before; nil takes it
// away.
func (s *Server) Intercept(f Interceptor) {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	s.fault = f
}

// Chain asks each interceptor in turn until one has handled the request.
func Chain(list ...Interceptor) Interceptor {
	return func(w http.ResponseWriter, r *http.Request) bool {
		for _, f := range list {
			if f(w, r) {
				return true
			}
		}
		return false
	}
}

// FaultOption narrows a fault down.
type FaultOption func(*scope)

type scope struct {
	template string
	left     *atomic.Int64 // requests that the fault still takes; nil: all
	header   http.Header
}

// On restricts a fault to requests with the URL template, as [URLTemplate] gives it.
func On(template string) FaultOption { return func(s *scope) { s.template = template } }

// First restricts a fault to the first n requests that it would take.
func First(n int) FaultOption {
	return func(s *scope) {
		s.left = new(atomic.Int64)
		s.left.Store(int64(n))
	}
}

// Header adds a header to the answer: Header("Retry-After", "30").
func Header(key, value string) FaultOption { return func(s *scope) { s.header.Add(key, value) } }

// fault makes an interceptor of an answer within a scope.
func fault(opts []FaultOption, answer Interceptor) Interceptor {
	sc := scope{header: make(http.Header)}
	for _, o := range opts {
		o(&sc)
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		if sc.template != "" && sc.template != URLTemplate(r) {
			return false
		}
		if sc.left != nil && sc.left.Add(-1) < 0 {
			return false
		}
		for k, v := range sc.header {
			w.Header()[k] = v
		}
		return answer(w, r)
	}
}

// Status answers with the status and the body, as JSON where the body begins with a brace or a
// bracket and as HTML otherwise.
func Status(code int, body string, opts ...FaultOption) Interceptor {
	return fault(opts, func(w http.ResponseWriter, _ *http.Request) bool {
		kind := "text/html; charset=utf-8"
		if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
			kind = "application/json"
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
		return true
	})
}

// LoginPage answers 200 with an HTML page, as a proxy in front of Drone does to who is not signed in.
func LoginPage(opts ...FaultOption) Interceptor {
	return Status(http.StatusOK, "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>"+
		"<body><form action=\"/login\" method=\"post\"><input name=\"password\"></form></body></html>\n", opts...)
}

// Redirect answers 307 to another URL.
func Redirect(url string, opts ...FaultOption) Interceptor {
	return fault(opts, func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, url, http.StatusTemporaryRedirect)
		return true
	})
}

// Truncated announces 100 bytes more than the body that it sends.
func Truncated(body string, opts ...FaultOption) Interceptor {
	return fault(opts, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+100))
		_, _ = w.Write([]byte(body))
		return true
	})
}

// Cut breaks the connection after the body, or without any answer where the body is empty.
func Cut(body string, opts ...FaultOption) Interceptor {
	return fault(opts, func(w http.ResponseWriter, _ *http.Request) bool {
		if body != "" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})
}

// Huge streams a JSON array of at least n bytes, or until the client has had enough.
func Huge(n int64, opts ...FaultOption) Interceptor {
	return fault(opts, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(strings.Repeat(`{"id":1},`, 4096))
		_, err := w.Write([]byte("["))
		for sent := int64(0); sent < n && err == nil; sent += int64(len(chunk)) {
			_, err = w.Write(chunk)
		}
		_, _ = w.Write([]byte(`{"id":1}]`))
		return true
	})
}

// Slow never answers: it waits until the client gives up.
func Slow(opts ...FaultOption) Interceptor {
	return fault(opts, func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
}

// Delay lets the server answer, d later. It ends early when the client gives up.
func Delay(d time.Duration, opts ...FaultOption) Interceptor {
	return fault(opts, func(_ http.ResponseWriter, r *http.Request) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return false
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	})
}
