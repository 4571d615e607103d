package agent

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/internal/secret"
)

// checker finds the mistakes that are not of form, each at the line of its key.
type checker struct{ *tree }

// at notes a mistake in a field, as drone.timeout.
func (c checker) at(field, format string, args ...any) {
	key, value := c.root, c.root
	for _, name := range strings.Split(field, ".") {
		i := find(value, name)
		if i < 0 {
			break
		}
		key, value = value.Content[i], deref(value.Content[i+1])
	}
	if c.files[key] == builtIn {
		key = c.given(key, value)
	}
	for unread := range c.unread {
		if within(field, unread) || within(unread, field) {
			return // it could not be read at all, which has been said
		}
	}
	c.problem(key, field, format, args...)
}

// given is the first key in a built-in section that is the operator's own, or the section's.
func (c checker) given(key, section *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(section.Content); i += 2 {
		if own := section.Content[i]; c.files[own] != builtIn {
			return own
		}
	}
	return key
}

// own tells whether the operator's file has the field.
func (c checker) own(field string) bool {
	n := c.root
	for _, key := range strings.Split(field, ".") {
		i := find(n, key)
		if i < 0 {
			return false
		}
		n = deref(n.Content[i+1])
	}
	return c.files[n] != builtIn
}

// within tells whether a field is another one or a part of it.
func within(field, of string) bool {
	rest, found := strings.CutPrefix(field, of)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// failure is every problem: those of the user's own file first, then those of the built-in one and of the
// environment, each in the order of lines.
func (c checker) failure() error {
	rank := map[string]int{builtIn: 1, environment: 2}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.File], rank[b.File]), cmp.Compare(a.Line, b.Line))
	})
	return &ConfigError{Problems: c.problems}
}

func (c checker) check(f *file) *Config {
	server := c.server(f.Drone.Server)
	token := c.droneToken(f.Drone)
	c.droneTLS(f.Drone.TLS)
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
	c.stale(f.Poll)
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
		c.at(field, "%s is not between %s and %s", model.Duration(d), model.Duration(least), model.Duration(most))
	}
}

// stale holds the two durations against each other, at the one that the operator gave.
func (c checker) stale(f pollFile) {
	stale, interval := model.Duration(f.StaleAfter), model.Duration(f.Interval)
	switch {
	case f.StaleAfter >= 2*f.Interval || f.StaleAfter < time.Second || f.Interval > time.Hour:
	case c.own("poll.stale_after"):
		c.at("poll.stale_after", "%s is shorter than twice poll.interval, %s: every gauge would vanish between two polls",
			stale, interval)
	default:
		c.at("poll.interval", "%s is longer than half of poll.stale_after, %s: every gauge would vanish between two polls",
			interval, stale)
	}
}

func (c checker) droneTLS(f tlsFile) {
	if err := (droneapi.TLSConfig{CAFile: f.CAFile}).Validate(); err != nil {
		c.at("drone.tls.ca_file", "%v", err)
	}
	field := "drone.tls.cert_file"
	if f.CertFile == "" {
		field = "drone.tls.key_file"
	}
	if err := (droneapi.TLSConfig{CertFile: f.CertFile, KeyFile: f.KeyFile}).Validate(); err != nil {
		c.at(field, "%v", err)
	}
}

func (c checker) server(text string) *url.URL {
	const field = "drone.server"
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.at(field, "the address of the Drone server is missing, as https://drone.example.com")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		c.at(field, "an address with http:// or https:// belongs here, as https://drone.example.com")
	case u.User != nil:
		c.at(field, "a user and password do not belong into the address; the token says who asks")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
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
		c.at("drone.token", "the token is missing: set DRONE_TOKEN or DRONE_TOKEN_FILE, or give drone.token or "+
			"drone.token_file in a file; `drone user add prometheus --admin --machine` makes a machine user and prints its "+
			"token")
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
	given := map[string]bool{
		".token": !f.Token.Empty(), ".token_file": f.TokenFile != "", ".token_sha256": len(f.TokenSHA256) > 0,
	}
	switch f.Mode {
	case authDrone, authNone:
		for _, key := range slices.Sorted(maps.Keys(given)) {
			if given[key] {
				c.at(section+key, "mode %s takes no token of its own; write mode: token, or leave this out", f.Mode)
			}
		}
		return out
	case authToken:
	default:
		c.at(section+".mode", "drone, token or none belongs here, not %.40q", f.Mode)
		return out
	}
	broken := false
	for field := range c.unread {
		broken = broken || within(field, section)
	}
	if !broken && !given[".token"] && !given[".token_file"] && !given[".token_sha256"] {
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
		_, err := exporters.NewTokenGuard(nil, f.TokenSHA256, nil)
		for _, err := range flatten(err) {
			c.at(section+".token_sha256", "%v", err)
		}
	}
	return out
}

// otlp takes the mistakes that the exporter finds, those of the standard variables among them.
func (c checker) otlp(cfg exporters.OTLPConfig) {
	mistakes := flatten(cfg.Validate())
	slices.SortStableFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	for _, err := range mistakes {
		field, text, _ := strings.Cut(err.Error(), ": ")
		if strings.HasPrefix(field, "otlp.") {
			c.at(field, "%s", text)
		} else {
			c.note(Problem{File: environment, Field: strings.TrimPrefix(field, "environment variable "), Text: text})
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
