package agent

import (
	"errors"
	"net"
	"net/url"
	"sort"
	"strings"
	"time"

	"drone-otel-agent/exporters"
	"drone-otel-agent/internal/secret"
)

// checker finds the mistakes that are not of form, each at the line of its key.
type checker struct{ *tree }

// at notes a mistake in a field, as drone.timeout.
func (c checker) at(field, format string, args ...any) {
	n := c.root
	for _, key := range strings.Split(field, ".") {
		i := find(n, key)
		if i < 0 {
			break
		}
		n = deref(n.Content[i+1])
	}
	for _, p := range c.problems {
		if p.Field == field {
			return // it could not be read at all
		}
	}
	c.problem(n, field, format, args...)
}

// failure is every problem, in the order of the files' lines, those of the user's own file first.
func (c checker) failure() error {
	sort.SliceStable(c.problems, func(i, j int) bool {
		a, b := c.problems[i], c.problems[j]
		if (a.File == builtIn) != (b.File == builtIn) {
			return b.File == builtIn
		}
		return a.File == b.File && a.Line < b.Line
	})
	return &ConfigError{Problems: c.problems}
}

func (c checker) check(f *file) *Config {
	server := c.server(f.Drone.Server)
	token := c.droneToken(f.Drone)
	if err := f.Drone.TLS.drone().Validate(); err != nil {
		c.at("drone.tls", "%v", err)
	}
	c.between("drone.timeout", f.Drone.Timeout, time.Second, 10*time.Minute)
	if n := f.Drone.MaxConcurrentRequests; n < 1 || n > 64 {
		c.at("drone.max_concurrent_requests", "%d is not between 1 and 64", n)
	}
	if n := f.Drone.MaxRequestsPerSecond; !(n >= 0.1 && n <= 1000) {
		c.at("drone.max_requests_per_second", "%g is not between 0.1 and 1000", n)
	}
	c.between("poll.interval", f.Poll.Interval, time.Second, time.Hour)
	c.between("poll.stale_after", f.Poll.StaleAfter, time.Second, 24*time.Hour)
	c.between("poll.lookback", f.Poll.Lookback, time.Minute, 30*24*time.Hour)
	c.between("poll.users_interval", f.Poll.UsersInterval, time.Second, 24*time.Hour)
	c.between("poll.recount_interval", f.Poll.RecountInterval, time.Minute, 7*24*time.Hour)
	if f.Poll.StaleAfter < f.Poll.Interval {
		c.at("poll.stale_after", "%s is shorter than poll.interval, %s: every gauge would vanish between two polls",
			f.Poll.StaleAfter, f.Poll.Interval)
	}
	if _, _, err := net.SplitHostPort(f.Prometheus.ListenAddress); err != nil {
		c.at("prometheus.listen_address", "an address belongs here, as :9464 or 127.0.0.1:9464, not %.60q",
			f.Prometheus.ListenAddress)
	}
	if err := exporters.ValidateMetricsPath(f.Prometheus.Path); err != nil {
		c.at("prometheus.path", "%v", err)
	}
	auth := c.auth(f.Prometheus.Auth)
	c.metrics(f.Metrics)
	c.between("otlp.interval", f.OTLP.Interval, time.Second, time.Hour)
	if f.OTLP.Timeout != 0 {
		c.between("otlp.timeout", f.OTLP.Timeout, time.Millisecond, 10*time.Minute)
	}
	c.otlp(f.OTLP.exporter())
	if len(c.problems) > 0 {
		return nil
	}
	return f.config(server, token, auth)
}

func (c checker) between(field string, d, least, most time.Duration) {
	if d < least || d > most {
		c.at(field, "%s is not between %s and %s", d, least, most)
	}
}

func (c checker) server(text string) *url.URL {
	const field = "drone.server"
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.at(field, "the address of the Drone server is missing, as https://drone.example.com")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.at(field, "an address with http:// or https:// belongs here, as https://drone.example.com")
	case u.User != nil:
		c.at(field, "a user and password do not belong into the address; the token says who asks")
	case u.RawQuery != "" || u.Fragment != "":
		c.at(field, "the address ends with the path; nothing with ? or # belongs there")
	}
	if u != nil {
		u.Path = strings.TrimRight(u.Path, "/")
	}
	return u
}

func (c checker) droneToken(f droneFile) secret.Source {
	switch {
	case !f.Token.Empty() && f.TokenFile != "":
		c.at("drone.token_file", "drone.token is given too; one of them is enough")
	case f.TokenFile != "":
		return c.tokenFile("drone.token_file", f.TokenFile)
	case f.Token.Empty():
		c.at("drone.token", "the token is missing: set DRONE_TOKEN or DRONE_TOKEN_FILE, or give token or token_file here; "+
			"`drone user add prometheus --admin --machine` makes a machine user and prints its token")
	case !oneWord(f.Token):
		c.at("drone.token", "a token is one word of printable characters")
	}
	return secret.Static(f.Token)
}

func (c checker) tokenFile(field, path string) secret.Source {
	source := secret.NewFile(path)
	if text, err := source.Get(); err != nil {
		c.at(field, "%v", err)
	} else if !oneWord(text) {
		c.at(field, "a token is one word of printable characters")
	}
	return source
}

func oneWord(t secret.Text) bool {
	return !strings.ContainsFunc(t.Reveal(), func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (c checker) auth(f authFile) authConfig {
	const section = "prometheus.auth"
	out := authConfig{mode: f.Mode, digests: f.TokenSHA256}
	given := !f.Token.Empty() || f.TokenFile != "" || len(f.TokenSHA256) > 0
	switch f.Mode {
	case authDrone, authNone:
		if given {
			c.at(section+".mode", "%s takes no token of its own; with token, token_file or token_sha256 it is mode: token", f.Mode)
		}
		return out
	case authToken:
	default:
		c.at(section+".mode", "drone, token or none belongs here, not %.40q", f.Mode)
		return out
	}
	if !given {
		c.at(section+".mode", "token needs a token, a token_file or token_sha256 beside it")
	}
	if !f.Token.Empty() {
		if !oneWord(f.Token) {
			c.at(section+".token", "a token is one word of printable characters")
		}
		out.sources = append(out.sources, secret.Static(f.Token))
	}
	if f.TokenFile != "" {
		out.sources = append(out.sources, c.tokenFile(section+".token_file", f.TokenFile))
	}
	if len(f.TokenSHA256) > 0 {
		if _, err := exporters.NewTokenGuard(nil, f.TokenSHA256, nil); err != nil {
			c.at(section+".token_sha256", "%v", err)
		}
	}
	return out
}

// otlp takes the mistakes that the exporter finds, those of the standard variables among them.
func (c checker) otlp(cfg exporters.OTLPConfig) {
	for _, err := range flatten(cfg.Validate()) {
		field, text, _ := strings.Cut(err.Error(), ": ")
		if strings.HasPrefix(field, "otlp.") {
			c.at(field, "%s", text)
		} else {
			c.tree.problems = append(c.tree.problems, Problem{File: "environment", Field: field, Text: text})
		}
	}
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	var joined interface{ Unwrap() []error }
	if err == nil {
		return nil
	}
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}
