package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"drone-otel-agent/droneapi/dronetest"
)

// patience is how long a script waits for anything.
const patience = 30 * time.Second

// commands are what scripts have beside testscript's own:
//
//	tokens                               sets $TOKEN, $PLAIN_TOKEN and $WRONG_TOKEN
//	drone …                              a Drone server, see fakeDrone
//	collector …                          an OpenTelemetry Collector, see fakeCollector
//	get [-token T] URL                   prints the answer's status line, some headers and the body
//	post [-token T] URL                  the same with POST
//	[!] await [-token T] URL REGEXP      gets until that matches (does not match any more)
//	awaitlog FILE REGEXP [NAME…]         waits until the file matches, and sets variables to the groups
//	signal TERM|INT|HUP                      to every command in the background
//	put FILE TEXT                        replaces a file with a text that is secret
//	occupy                               listens at $OCCUPIED
//	nobody                               sets $NOBODY to an address where nobody listens
//	exits CODE COMMAND [ARGUMENT…]       runs a command that must end with that code
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	plain := func(f func(ts *testscript.TestScript, args []string) error) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("the command takes no !")
			}
			ts.Check(f(ts, args))
		}
	}
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"tokens":    plain(cmdTokens),
		"drone":     plain(cmdDrone),
		"collector": plain(cmdCollector),
		"get":       plain(func(ts *testscript.TestScript, args []string) error { return cmdGet(ts, http.MethodGet, args) }),
		"post":      plain(func(ts *testscript.TestScript, args []string) error { return cmdGet(ts, http.MethodPost, args) }),
		"await":     func(ts *testscript.TestScript, neg bool, args []string) { ts.Check(cmdAwait(ts, neg, args)) },
		"awaitlog":  plain(cmdAwaitLog),
		"signal":    plain(cmdSignal),
		"put":       plain(cmdPut),
		"occupy":    plain(cmdOccupy),
		"nobody":    plain(cmdNobody),
		"exits":     plain(cmdExits),
	}
}

func shared(ts *testscript.TestScript) *script {
	return ts.Value(scriptKey{}).(*script) //nolint:forcetypeassert // setup has put it there
}

func cmdTokens(ts *testscript.TestScript, _ []string) error {
	ts.Setenv("TOKEN", dronetest.DefaultToken)
	ts.Setenv("PLAIN_TOKEN", plainToken)
	ts.Setenv("WRONG_TOKEN", wrongToken)
	return nil
}

// until calls probe again and again until it is content.
func until(probe func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !probe() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// token takes "-token T" off the arguments.
func token(args []string) (string, []string) {
	if len(args) >= 2 && args[0] == "-token" {
		return args[1], args[2:]
	}
	return "", args
}

// fetch asks for a URL and shows the answer as text.
func fetch(method, url, token string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err.Error()
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Sprintf("no answer: %v\n", err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := resp.Status + "\n"
	for _, name := range []string{"Content-Type", "Retry-After", "WWW-Authenticate"} {
		if value := resp.Header.Get(name); value != "" {
			out += name + ": " + value + "\n"
		}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprintf("%sbody cut short: %v\n", out, err)
	}
	return out + "\n" + string(body)
}

func cmdGet(ts *testscript.TestScript, method string, args []string) error {
	bearer, args := token(args)
	if len(args) != 1 {
		return errors.New("usage: get|post [-token T] URL")
	}
	_, err := io.WriteString(ts.Stdout(), fetch(method, args[0], bearer))
	return err
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) error {
	bearer, args := token(args)
	if len(args) != 2 {
		return errors.New("usage: [!] await [-token T] URL REGEXP")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	var last string
	met := until(func() bool {
		last = fetch(http.MethodGet, args[0], bearer)
		return want.MatchString(last) != neg
	})
	_, _ = io.WriteString(ts.Stdout(), last)
	if !met {
		return fmt.Errorf("not within %s", patience)
	}
	return nil
}

func cmdAwaitLog(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: awaitlog FILE REGEXP [NAME...]")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	var raw []byte
	var found []string
	met := until(func() bool {
		raw, _ = os.ReadFile(ts.MkAbs(args[0]))
		found = want.FindStringSubmatch(string(raw))
		return found != nil
	})
	if !met || len(found) != len(args)-1 {
		return fmt.Errorf("not within %s, or not so many groups: %s has\n%s", patience, args[0], raw)
	}
	for i, name := range args[2:] {
		ts.Setenv(name, found[i+1])
	}
	return nil
}

func cmdSignal(ts *testscript.TestScript, args []string) error {
	known := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}
	sig, ok := known[strings.Join(args, " ")]
	if !ok {
		return errors.New("usage: signal TERM|INT|HUP")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(sig); err != nil {
			return err
		}
	}
	return nil
}

// cmdPut writes as people and programs do who know what they are doing: beside the file, and over it then.
func cmdPut(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: put FILE TEXT")
	}
	s, path := shared(ts), ts.MkAbs(args[0])
	s.mu.Lock()
	s.secrets, s.places = append(s.secrets, args[1]), append(s.places, path)
	s.mu.Unlock()
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(beside, []byte(args[1]+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}

func cmdExits(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if strconv.Itoa(code) != args[0] {
		return fmt.Errorf("exit code %d, want %s", code, args[0])
	}
	return nil
}

func cmdOccupy(ts *testscript.TestScript, _ []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv("OCCUPIED", listener.Addr().String())
	return nil
}

func cmdNobody(ts *testscript.TestScript, _ []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ts.Setenv("NOBODY", listener.Addr().String())
	return listener.Close()
}
