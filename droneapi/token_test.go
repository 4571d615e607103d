package droneapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/internal/certtest"
	"drone-otel-agent/internal/secret"
)

// echo answers with what it was sent.
func echo(status int, header, format string) dronetest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request) bool {
		said := fmt.Sprintf(format, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		w.Header().Set("Content-Type", "application/json")
		if header != "" {
			w.Header().Set(header, said)
			said = ""
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(said))
		return true
	}
}

// TestTokenNowhere lets servers say the token back in every way, and looks for it in every error and every log line.
func TestTokenNowhere(t *testing.T) {
	for _, word := range []string{token, `pass "word"/ü+%`, "31415926535897932384"} {
		for name, fault := range map[string]dronetest.Interceptor{
			"message":            echo(401, "", `{"message":"no user has the token %s"}`),
			"message, retried":   echo(503, "", `{"message":"Bearer %[1]s, %[1]s"}`),
			"message, cut":       echo(500, "", `{"message":"`+strings.Repeat("x", 190)+`%s"}`),
			"message, long wait": dronetest.Chain(dronetest.Interceptor(retryLater), echo(429, "", `{"message":"%s"}`)),
			"redirect, query":    echo(302, "Location", "https://evil/?access_token=%s"),
			"redirect, path":     echo(302, "Location", "https://evil/%s/version"),
			"redirect, host":     echo(302, "Location", "https://%s/version"),
			"redirect, user":     echo(302, "Location", "https://x:%s@evil/version"),
			"redirect, bad":      echo(302, "Location", "https://evil:%s/"),
			"redirect, control":  echo(302, "Location", "https://evil/\x7f%s/"),
			"content type":       echo(200, "Content-Type", "text/%s"),
			"retry after":        echo(503, "Retry-After", "%s"),
			"data":               echo(200, "", `{"version": %s}`),
			"number data":        echo(200, "", `{"id":%s,"login":"x"}`),
			"string data":        echo(200, "", `{"id":"%[1]s","login":"%[1]s"}`),
			"login page":         dronetest.LoginPage(),
			"cut":                dronetest.Cut(""),
		} {
			synctest.Test(t, func(t *testing.T) {
				log := new(lines)
				s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) {
					c.Token = secret.Static(secret.New(word))
					c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				})
				s.drone.Intercept(fault)
				_, versionErr := s.Version(t.Context())
				_, userErr := s.UserOf(t.Context(), secret.New(word))
				for _, err := range []error{versionErr, userErr} {
					if err == nil {
						t.Errorf("%s: no error", name)
						continue
					}
					wantNone(t, name, word, fmt.Sprintf("%v %+v %q", err, err, err.Error()))
				}
				wantNone(t, name, word, log.String())
			})
		}
	}
}

func retryLater(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Retry-After", "100")
	return false
}

// wantNone looks for the token and for either end of it.
func wantNone(t *testing.T, name, word, text string) {
	t.Helper()
	for _, part := range []string{word, word[:8], word[len(word)-8:]} {
		if strings.Contains(text, part) {
			t.Errorf("%s: %q of the token is in %q", name, part, text)
		}
	}
}

// TestTokenNotInNetworkErrors has net/http and the network quote the token.
func TestTokenNotInNetworkErrors(t *testing.T) {
	for name, reply := range map[string]string{
		"status line": "HTTP/1.1 %s\r\n\r\n", "protocol": "%s\r\n\r\n", "header": "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"length":   "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					req, err := http.ReadRequest(bufio.NewReader(conn))
					if err == nil {
						_, _ = fmt.Fprintf(conn, reply, strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
					}
					_ = conn.Close()
				}
			}()
			_, err = newClient(t, "http://"+listener.Addr().String()).Version(t.Context())
			if got := failure[*droneapi.TransportError](t, err).Error(); !strings.Contains(got, "[redacted]") {
				t.Errorf("%q does not quote anything", got)
			}
		})
	}
}

// TestTokenNotInTransportErrors keeps what an error is while its text is changed, and logs through the logger.
func TestTokenNotInTransportErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(lines)
		client := newClient(t, address, func(c *droneapi.Config) {
			c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("proxy saw %v: %w", r.Header, os.ErrPermission)
			})
		})
		_, err := client.Version(t.Context())
		const want = "GET /version: proxy saw map[Accept:[application/json] Authorization:[Bearer [redacted]] " +
			"User-Agent:[drone-otel-agent/test]]: permission denied"
		if got := failure[*droneapi.TransportError](t, err); got.Error() != want || !errors.Is(err, os.ErrPermission) {
			t.Errorf("%q, want %q", got, want)
		}
		noToken(t, log.String())
		if strings.Count(log.String(), "level=DEBUG") != 4 || !strings.Contains(log.String(), "Bearer [redacted]") {
			t.Errorf("the log is\n%s", log)
		}
	})
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) { c.Token = secret.NewFile(path) })
	refused := func(want string) {
		t.Helper()
		for _, method := range methods {
			if method.name == "UserOf" {
				continue
			}
			_, err := method.call(t.Context(), s.Client)
			if got := failure[*droneapi.TokenError](t, err); !strings.HasPrefix(got.Error(), "no token for drone: ") ||
				!strings.Contains(got.Error(), want) || !strings.Contains(got.Error(), path) {
				t.Errorf("%s: %q, want %q", method.name, got, want)
			}
		}
		s.sent.wantRequests(t, 0)
	}
	asks := func(want string) {
		t.Helper()
		user, err := s.User(t.Context())
		if err != nil || user.Login != want {
			t.Errorf("asked as %+v, %v, want %s", user, err, want)
		}
		s.sent.wantRequests(t, 1)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused("no such file")
	write("token-of-user0001\n")
	asks("user0001")
	write("token-of-user0002\n")
	asks("user0002")
	write("\n")
	refused("it is empty")
	write("token-of-user0002\n" + token)
	refused("more than one word")
	write(token)
	asks("prometheus")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("no such file")
	// Another's token is not the file's business.
	if user, err := s.UserOf(context.WithoutCancel(t.Context()), secret.New(token)); user.Login != "prometheus" {
		t.Errorf("%+v, %v", user, err)
	}
}

// TestTokenFileReplaced rotates Drone's token in every way in which files are replaced, over real connections: the
// next request has the new one, and nothing fails as long as Drone knows both.
func TestTokenFileReplaced(t *testing.T) {
	for _, way := range certtest.Ways() {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			drone := dronetest.New(dronetest.Enterprise)
			if err := drone.LoadRecorded(); err != nil {
				t.Fatal(err)
			}
			folder := certtest.NewFolder(t, way)
			folder.Put(t, map[string][]byte{"token": []byte("token-of-user0001\n"), "other": []byte("stays")})
			client := newClient(t, serve(t, drone).URL, func(c *droneapi.Config) {
				c.Token = secret.NewFile(folder.Path("token"))
			})
			for _, user := range []string{"user0002", "user0001", "user0003"} { // of the same length
				folder.Put(t, map[string][]byte{"token": []byte("token-of-" + user + "\n")})
				if got, err := client.User(t.Context()); err != nil || got.Login != user {
					t.Errorf("asked as %+v, %v, want %s", got, err, user)
				}
			}
		})
	}
}
