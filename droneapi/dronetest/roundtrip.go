package dronetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// RoundTripper reaches the server without sockets, so that it works in a testing/synctest bubble.
// It behaves as [http.Transport] and [http.Server] would: the request's context ends the handler and
// the reading of the body, closing the body ends the handler, and a small answer is complete when
// RoundTrip returns. The handler runs in a goroutine that is gone when the body was read to its end,
// was closed, or the context is done.
func (s *Server) RoundTripper() http.RoundTripper { return transport{s} }

type transport struct{ server *Server }

// errGone is what the handler's writes get when nobody reads any more.
var errGone = errors.New("dronetest: the client went away")

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	in := r.Clone(ctx)
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "dronetest"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{request: r, cancel: cancel, pr: pr, pw: pw, head: make(chan *http.Response, 1)}
	go w.run(t.server, in)

	select {
	case resp := <-w.head:
		if resp == nil {
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			return nil, io.EOF // what net/http says when the connection closes without an answer
		}
		return resp, nil
	case <-r.Context().Done():
		w.abort(r.Context().Err())
		return nil, r.Context().Err()
	}
}

// buffered is how much of a body is kept back until the handler is done; more than that streams.
const buffered = 4096

// pipeWriter is the response writer of one round trip.
type pipeWriter struct {
	request *http.Request
	cancel  context.CancelFunc
	pr      *io.PipeReader
	pw      *io.PipeWriter
	head    chan *http.Response // gets the response once, or is closed without one

	// The handler's goroutine alone uses what follows.
	header http.Header
	status int
	buf    bytes.Buffer
	sent   bool
	wrote  int64
}

// run calls the handler and ends the body as its end demands.
func (w *pipeWriter) run(h http.Handler, r *http.Request) {
	stop := context.AfterFunc(w.request.Context(), func() { w.abort(w.request.Context().Err()) })
	defer stop()
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			if !w.sent {
				close(w.head)
			}
			_ = w.pw.CloseWithError(io.ErrUnexpectedEOF)
			w.cancel()
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	w.finish()
}

// abort ends the handler; who reads the body gets the error.
func (w *pipeWriter) abort(err error) {
	w.cancel()
	_ = w.pw.CloseWithError(err)
}

// finish sends a small answer whole, and ends a streamed one.
func (w *pipeWriter) finish() {
	defer w.cancel()
	if w.sent {
		err := w.flush()
		if err == nil && w.short() {
			err = io.ErrUnexpectedEOF
		}
		_ = w.pw.CloseWithError(err) // nil is io.EOF
		return
	}
	length := int64(w.buf.Len())
	body := io.Reader(bytes.NewReader(w.buf.Bytes()))
	if w.short() {
		length, _ = w.declared()
		body = io.MultiReader(body, failingReader{io.ErrUnexpectedEOF})
	}
	w.sent = true
	w.head <- w.response(length, io.NopCloser(body))
}

// declared is the Content-Length that the handler set.
func (w *pipeWriter) declared() (int64, bool) {
	n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	return n, err == nil
}

// short tells whether the handler announced more than it wrote.
func (w *pipeWriter) short() bool {
	n, ok := w.declared()
	return ok && w.wrote < n && w.request.Method != http.MethodHead
}

func (w *pipeWriter) response(length int64, body io.ReadCloser) *http.Response {
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:     strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.Header().Clone(), Body: body, ContentLength: length, Request: w.request,
	}
}

// Header is part of http.ResponseWriter.
func (w *pipeWriter) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader keeps the first status.
func (w *pipeWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.wrote += int64(len(p))
	if w.request.Method == http.MethodHead {
		return len(p), nil
	}
	if w.buf.Len()+len(p) <= buffered {
		return w.buf.Write(p)
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.pw.Write(p)
}

// Flush sends what there is so far.
func (w *pipeWriter) Flush() {
	// Whoever writes next sees that the reader is gone.
	_ = w.flush()
}

func (w *pipeWriter) flush() error {
	if !w.sent {
		w.sent = true
		length, ok := w.declared()
		if !ok {
			length = -1
		}
		w.head <- w.response(length, pipedBody{w.pr, w.cancel})
	}
	_, err := w.buf.WriteTo(w.pw)
	return err
}

// pipedBody is a streamed body whose end cancels the handler.
type pipedBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close ends the handler if it still writes.
func (b pipedBody) Close() error {
	b.cancel()
	return b.CloseWithError(errGone)
}

// failingReader fails at once.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
