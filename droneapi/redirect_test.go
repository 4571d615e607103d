package droneapi_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// TestRedirectNotFollowed sends the client to another server, which must never hear of it.
func TestRedirectNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		elsewhere := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("%d was followed: %s %v", status, r.URL, r.Header)
		}))
		drone := dronetest.New(dronetest.Enterprise)
		drone.Intercept(dronetest.Status(status, "", dronetest.Header("Location", elsewhere.URL+"/version")))
		_, err := newClient(t, serve(t, drone).URL).Version(t.Context())
		got := failure[*droneapi.RedirectError](t, err)
		want := droneapi.RedirectError{
			Path: "/version", Status: status, Location: elsewhere.URL + "/version", Server: elsewhere.URL,
		}
		if *got != want {
			t.Errorf("%+v, want %+v", *got, want)
		}
		if n := drone.RequestCount(); n != 1 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
}

func TestRedirectTells(t *testing.T) {
	version := func(t *testing.T, c *droneapi.Client) error {
		t.Helper()
		_, err := c.Version(t.Context())
		return err
	}
	builds := func(t *testing.T, c *droneapi.Client) error {
		t.Helper()
		_, err := c.Builds(t.Context(), droneapi.Repo{Namespace: "a/b", Name: "c d"}, 1, 10)
		return err
	}
	const buildsPath = "/api/repos/a%2Fb/c%20d/builds"
	for _, tt := range []struct {
		name, server, to string
		ask              func(*testing.T, *droneapi.Client) error
		location, cure   string
	}{
		{"https", address, "https://drone.example.com/version", version,
			"https://drone.example.com/version", "https://drone.example.com"},
		{"https with a port", address + ":80", "https://drone.example.com:8443/version?x=1#y", version,
			"https://drone.example.com:8443/version", "https://drone.example.com:8443"},
		{"https below a prefix", address + "/ci/", "https://drone.example.com/ci/version", version,
			"https://drone.example.com/ci/version", "https://drone.example.com/ci"},
		{"to a prefix", address, "/tools/ci/version", version, address + "/tools/ci/version", address + "/tools/ci"},
		{"from a prefix", address + "/ci", address + "/version", version, address + "/version", address},
		{"a prefix with odd characters", address, "https://h/c%2Fi%20x/version", version,
			"https://h/c%2Fi%20x/version", "https://h/c%2Fi%20x"},
		{"escaped path", address, "https://h" + buildsPath + "?page=1", builds, "https://h" + buildsPath, "https://h"},
		{"IPv6", address, "//[::1]:8080/version", version, "http://[::1]:8080/version", "http://[::1]:8080"},
		{"a slash more", address, "/version/", version, address + "/version/", ""},
		{"to itself", address, "/version", version, address + "/version", ""},
		{"login page", address, "https://sso.example.com/login?rd=%2Fversion", version, "https://sso.example.com/login", ""},
		{"end of another word", address, "https://h/conversion", version, "https://h/conversion", ""},
		{"user information", address, "https://me:word@h/version", version, "https://h/version", "https://h"},
		{"the token in the query", address, "https://evil/?access_token=" + token, version, "https://evil/", ""},
		{"the token in the path", address, "https://evil/" + token + "/version", version,
			"https://evil/[redacted]/version", "https://evil/[redacted]"},
		{"the token in the host", address, "https://" + token + ".evil/version", version,
			"https://[redacted].evil/version", "https://[redacted].evil"},
		{"the token in the fragment", address, "/x#" + token, version, address + "/x", ""},
		{"the token as the user", address, "https://" + token + "@h/x", version, "https://h/x", ""},
		{"another protocol", address, "ftp://h/version", version, "ftp://h/version", ""},
		{"no address", address, "javascript:alert(1)", version, "javascript:", ""},
		{"unreadable, with the token", address, "https://%zz/" + token, version, "", ""},
		{"unreadable port", address, "https://h:" + token + "/", version, "", ""},
		{"nothing", address, "", version, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, dronetest.Enterprise)
				client := newClient(t, tt.server, func(c *droneapi.Config) { c.Transport = s.sent })
				s.drone.Intercept(dronetest.Status(302, "", dronetest.Header("Location", tt.to)))
				got := failure[*droneapi.RedirectError](t, tt.ask(t, client))
				if got.Location != tt.location || got.Server != tt.cure {
					t.Errorf("to %q, server %q, want %q and %q", got.Location, got.Server, tt.location, tt.cure)
				}
				want := "GET " + got.Path + ": 302 redirect to " + tt.location + ", not followed"
				if tt.location == "" {
					want = "GET /version: 302 redirect to nowhere"
				}
				if got.Error() != want {
					t.Errorf("error %q, want %q", got, want)
				}
				s.sent.wantRequests(t, 1)
			})
		})
	}
}

// TestOtherThreeHundreds are no addresses, but no answers either.
func TestOtherThreeHundreds(t *testing.T) {
	for _, status := range []int{300, 304, 305} {
		s := newScene(t, dronetest.Enterprise)
		s.drone.Intercept(dronetest.Status(status, ""))
		_, err := s.Version(t.Context())
		if got := failure[*droneapi.RedirectError](t, err); got.Status != status || got.Server != "" {
			t.Errorf("%+v", *got)
		}
		s.sent.wantRequests(t, 1)
	}
}
