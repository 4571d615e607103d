package droneapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// HTTPError is an answer whose status is not 200.
type HTTPError struct {
	// Path is the path of the request below the server's address, without the query.
	Path string
	// Status is the HTTP status.
	Status int
	// Message is Drone's own word, from {"message": "..."}; empty where a proxy answered.
	Message string
	// RetryAfter is what the answer's Retry-After header asks for, 0 where there is none.
	RetryAfter time.Duration
}

func (e *HTTPError) Error() string {
	text := fmt.Sprintf("GET %s: %d %s", e.Path, e.Status, http.StatusText(e.Status))
	if e.Message != "" && e.Message != http.StatusText(e.Status) {
		text += ": " + e.Message
	}
	return text
}

// Kind is what a status says about the request and the server.
type Kind int

// The kinds that callers tell apart; the zero value is every other.
const (
	Other           Kind = iota
	Unauthorized         // 401: Drone does not know the token
	Forbidden            // 403: its user may not ask that
	NotFound             // 404
	NotImplemented       // 501: the edition does not have the endpoint
	TooManyRequests      // 429
	ProxyFailed          // 502, 503, 504: what stands in front of Drone got no answer from it
)

// Kind tells which kind of answer it is.
func (e *HTTPError) Kind() Kind {
	switch e.Status {
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return NotFound
	case http.StatusNotImplemented:
		return NotImplemented
	case http.StatusTooManyRequests:
		return TooManyRequests
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ProxyFailed
	}
	return Other
}

// Missing tells whether the server does not have the endpoint: the community edition answers 501 to what
// belongs to the enterprise edition, older servers 404.
func (e *HTTPError) Missing() bool {
	return e.Status == http.StatusNotImplemented || e.Status == http.StatusNotFound
}

// RedirectError is an answer that sends the caller elsewhere. It is not followed: the token would go along.
type RedirectError struct {
	Path   string
	Status int
	// Location is the address that the server names, absolute, without query or user information; empty
	// where it names none.
	Location string
	// Server is the server's address that would not redirect, where Location shows one: the same path
	// below another address. Otherwise empty.
	Server string
}

func (e *RedirectError) Error() string {
	if e.Location == "" {
		return fmt.Sprintf("GET %s: %d redirect to nowhere", e.Path, e.Status)
	}
	return fmt.Sprintf("GET %s: %d redirect to %s, not followed", e.Path, e.Status, e.Location)
}

// ContentError is an answer with status 200 that is not JSON.
type ContentError struct {
	Path string
	// ContentType is what the answer says it is.
	ContentType string
	// HTML tells that it is a web page: a login page of a proxy, or the page that an old Drone gives for
	// an endpoint it does not have.
	HTML bool
}

func (e *ContentError) Error() string {
	switch {
	case e.HTML:
		return fmt.Sprintf("GET %s: the answer is a web page, not JSON", e.Path)
	case e.ContentType == "":
		return fmt.Sprintf("GET %s: the answer has no content type; JSON belongs there", e.Path)
	}
	return fmt.Sprintf("GET %s: the answer is %q, not JSON", e.Path, e.ContentType)
}

// DataError is JSON that cannot be read or cannot be true.
type DataError struct {
	Path string
	// Err says what is wrong, and at which place.
	Err error
}

func (e *DataError) Error() string { return fmt.Sprintf("GET %s: unusable answer: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *DataError) Unwrap() error { return e.Err }

// TooLargeError is an answer over the size limit.
type TooLargeError struct {
	Path string
	// Limit is in bytes.
	Limit int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("GET %s: the answer has more than %d bytes", e.Path, e.Limit)
}

// TransportError is a request to which no whole answer came: no connection, no trust, no answer in time,
// an answer cut short.
type TransportError struct {
	Path string
	Err  error
}

func (e *TransportError) Error() string { return fmt.Sprintf("GET %s: %v", e.Path, e.Err) }

// Unwrap returns the cause, for errors.As to x509's and net's errors.
func (e *TransportError) Unwrap() error { return e.Err }

// TokenError is a token that could not be had from its source; nothing was sent.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return fmt.Sprintf("no token for drone: %v", e.Err) }

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Err }

// RetryAfter returns how long the server asked to be left alone by the answer behind err, 0 where it did not.
func RetryAfter(err error) time.Duration {
	var status *HTTPError
	if errors.As(err, &status) {
		return status.RetryAfter
	}
	return 0
}

// retryable tells whether the same request may well succeed when it is sent again.
func retryable(status int, err error) bool {
	var (
		tooLarge *TooLargeError
		token    *TokenError
	)
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &token), errors.Is(err, context.Canceled), untrusted(err),
		errors.Is(err, context.DeadlineExceeded): // a server that hangs is not helped by more of it
		return false
	case err != nil:
		return true
	}
	kind := (&HTTPError{Status: status}).Kind()
	return kind == TooManyRequests || kind == ProxyFailed
}
