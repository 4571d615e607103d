// Package droneapi is a client for the part of Drone's REST API that tells the state of a server: its
// version, users, repositories, queue and builds. It knows Drone's HTTP and JSON and nothing of metrics.
//
// A [Client] is made for one server and one token source and is safe for concurrent use. Every request
// goes one way: a typed method ([Client.Repos], [Client.Queue], …) → resty, which retries what may be
// retried → a transport that holds to the limits (requests at once, requests per second, time, size).
//
// What goes wrong comes back as a typed error that names the method and the path: [*HTTPError] for an
// answer that is not 200, [*RedirectError], [*ContentError] for HTML where JSON belongs, [*TooLargeError],
// [*DataError] for JSON that cannot be true, [*TransportError] where no whole answer came at all. No error
// and no log line holds the token, not even where the server says it back.
//
// # What resty does not do by itself
//
// It follows redirects and carries the Authorization header along, keeps cookies, has no time limit and
// no size limit, retries every transport error but no status, shortens a Retry-After that is longer than its
// own maximum, and drops a request over its rate limit instead of waiting. Each of these is turned around
// here.
package droneapi
