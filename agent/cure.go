package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"drone-otel-agent/droneapi"
)

// cure says what the person who reads of an error can do about it, in one line.
func cure(err error) string {
	var (
		status   *droneapi.HTTPError
		redirect *droneapi.RedirectError
		content  *droneapi.ContentError
		large    *droneapi.TooLargeError
		data     *droneapi.DataError
		token    *droneapi.TokenError
	)
	switch {
	case errors.As(err, &token):
		return "check drone.token_file: it must exist, be readable for the agent and hold the token alone"
	case errors.As(err, &status):
		return cureStatus(status)
	case errors.As(err, &redirect) && redirect.Server != "":
		return fmt.Sprintf("set drone.server to %s", redirect.Server)
	case errors.As(err, &redirect):
		return "set drone.server to the address that drone itself answers at, without a redirect; " +
			"a login page in front of it must let the agent through"
	case errors.As(err, &content):
		return "check that drone.server is drone's own address, with its path prefix if it has one, and that no login " +
			"page stands in front of /api; drone older than 1.6 is not supported"
	case errors.As(err, &large):
		return "no drone server answers so much; check that drone.server is drone's own address"
	case errors.As(err, &data):
		return "check that drone.server is a drone server and that no proxy changes or cuts its answers"
	}
	return cureTransport(err)
}

func cureStatus(err *droneapi.HTTPError) string {
	switch err.Kind() {
	case droneapi.Unauthorized:
		return "drone does not know the token: check drone.token or drone.token_file; " +
			"`drone user add prometheus --admin --machine` makes a user and prints its token"
	case droneapi.Forbidden:
		return "the token's user is not an administrator: `drone user update prometheus --admin`"
	case droneapi.NotFound:
		return "check drone.server and its path prefix; drone older than 1.6 is not supported"
	case droneapi.TooManyRequests:
		return "the agent waits as long as it is asked to; lower drone.max_requests_per_second, or raise the proxy's limit"
	case droneapi.ProxyFailed:
		return "the proxy in front of drone does not reach it; the agent tries again by itself"
	}
	return "look at drone's own log; the agent tries again by itself"
}

func cureTransport(err error) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		dns       *net.DNSError
		opError   *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "the server's certificate is signed by an authority that is not trusted here: name it in drone.tls.ca_file"
	case errors.As(err, &hostname):
		return "the server's certificate is for another name: use that name in drone.server"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid: renew it, and check the clocks of both machines"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS there: use http:// or another port in drone.server"
	case errors.As(err, &alert):
		return "the server refused the TLS connection: check drone.tls.cert_file and drone.tls.key_file"
	case errors.As(err, &dns):
		return "check the host name in drone.server and this machine's name service"
	case errors.Is(err, context.DeadlineExceeded):
		return "drone is slow or out of reach; if it is only slow, raise drone.timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended before the answer did: check that drone runs and that no proxy cuts its answers; " +
			"the agent tries again by itself"
	case errors.As(err, &opError) && opError.Op == "dial":
		return "check that drone runs, that drone.server names its address, and that no firewall is in between"
	}
	return "check that drone runs and answers at drone.server; the agent tries again by itself"
}

// refusedToken tells whether err says that the token does not do: unknown to Drone, or without the right.
func refusedToken(err error) bool {
	var status *droneapi.HTTPError
	return errors.As(err, &status) &&
		(status.Kind() == droneapi.Unauthorized || status.Kind() == droneapi.Forbidden)
}

// failureType is the kind of a failed request, as error.type names it: the status of Drone's answer, or a word.
func failureType(err error) string {
	var (
		status   *droneapi.HTTPError
		redirect *droneapi.RedirectError
		content  *droneapi.ContentError
		large    *droneapi.TooLargeError
		data     *droneapi.DataError
		token    *droneapi.TokenError
	)
	switch {
	case errors.As(err, &status):
		return strconv.Itoa(status.Status)
	case errors.As(err, &redirect):
		return strconv.Itoa(redirect.Status)
	case errors.As(err, &content):
		return "content"
	case errors.As(err, &large):
		return "too_large"
	case errors.As(err, &data):
		return "data"
	case errors.As(err, &token):
		return "token"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "connection"
}
