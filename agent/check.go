package agent

import (
	"context"
	"errors"
	"fmt"
	"io"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
)

// ErrCheck says that something was found that keeps the agent from working; what it is was printed.
var ErrCheck = errors.New("the check found something to mend")

// checkup prints a line for every finding.
type checkup struct {
	out     io.Writer
	failed  bool
	refused bool
}

func (c *checkup) ok(what, format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, "ok    %-12s %s\n", what, fmt.Sprintf(format, args...))
}

func (c *checkup) note(what, format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, "note  %-12s %s\n", what, fmt.Sprintf(format, args...))
}

func (c *checkup) fail(what string, err error, cure string) {
	c.failed = true
	c.refused = c.refused || refusedToken(err)
	_, _ = fmt.Fprintf(c.out, "FAIL  %-12s %v\n", what, err)
	if cure != "" {
		_, _ = fmt.Fprintf(c.out, "      %-12s %s\n", "", cure)
	}
}

// Check asks Drone who the token is, tries what the agent asks for all the time and the Collector, and prints a
// line for each finding, with what to do where something is wrong. It returns nil, [ErrCheck], or a
// [*RefusedError] where Drone refused the token.
func Check(ctx context.Context, opts Options, out io.Writer) error {
	c := &checkup{out: out}
	cfg := opts.Config
	client, err := newClient(cfg, opts, observation{})
	if err != nil {
		return &UsageError{err}
	}
	defer client.Close()
	c.permissions(cfg)
	if c.server(ctx, cfg, client) {
		user, known := c.token(ctx, client)
		if known {
			c.rights(ctx, client)
			c.guard(cfg, user)
		}
	}
	c.push(ctx, cfg)
	switch {
	case c.refused:
		return &RefusedError{ErrCheck}
	case c.failed:
		return ErrCheck
	}
	return nil
}

// CheckOffline prints what can be said of the configuration without asking anybody. That it has no mistake
// [LoadConfig] has found out.
func CheckOffline(opts Options, out io.Writer) {
	c := &checkup{out: out}
	c.ok("config", "no mistake; %s is to be watched", opts.Config.Server())
	c.permissions(opts.Config)
}

// permissions names the files that others have access to, and should not.
func (c *checkup) permissions(cfg *Config) {
	for _, one := range cfg.permissions() {
		c.note("permissions", "%s", one)
	}
}

func (c *checkup) server(ctx context.Context, cfg *Config, client *droneapi.Client) bool {
	version, err := client.Version(ctx)
	if err != nil {
		c.fail("server", fmt.Errorf("%s: %w", cfg.Server(), err), cure(err))
		return false
	}
	c.ok("server", "%s answers", cfg.Server())
	c.ok("version", "%s", version)
	if tooOld(version) {
		c.note("version", "older than 1.6, the first that lists all repositories: update Drone")
	}
	if plainHTTP(cfg.drone.Server) {
		c.note("server", "http:// carries the token unprotected over the network; https:// does not")
	}
	return true
}

func (c *checkup) token(ctx context.Context, client *droneapi.Client) (droneapi.User, bool) {
	user, err := client.User(ctx)
	if err != nil {
		c.fail("token", err, cure(err))
		return user, false
	}
	kind := "a person's account"
	if user.Machine {
		kind = "a machine user"
	}
	c.ok("token", "belongs to %q, %s", user.Login, kind)
	if !user.Machine {
		c.note("token", "a machine user of its own keeps the agent apart from people: "+
			"drone user add prometheus --admin --machine")
	}
	return user, true
}

// rights tries what the agent asks all the time.
func (c *checkup) rights(ctx context.Context, client *droneapi.Client) {
	stages, err := client.Queue(ctx)
	switch {
	case err == nil:
		c.ok("edition", "%s: /api/queue answers, with %d stages", enterprise, len(stages))
	case missing(err):
		c.ok("edition", "%s: no /api/queue; builds are followed one by one", community)
	default:
		c.fail("rights", err, cure(err))
		return
	}
	repos, err := client.Repos(ctx)
	if err != nil {
		c.fail("rights", err, cure(err))
		return
	}
	users, err := client.Users(ctx)
	if err != nil {
		c.fail("rights", err, cure(err))
		return
	}
	c.ok("rights", "administrator")
	c.ok("users", "%d", len(users))
	active, nested := 0, 0
	for _, repo := range repos {
		if repo.Active {
			active++
		}
		if (&repository{Repo: repo}).nested() {
			nested++
		}
	}
	c.ok("repositories", "%d, of which %d are active", len(repos), active)
	if nested > 0 {
		c.note("repositories", "%d have a namespace with a slash; Drone does not serve their builds, "+
			"which are counted by their counter alone", nested)
	}
}

func (c *checkup) guard(cfg *Config, user droneapi.User) {
	switch {
	case cfg.auth.mode == authNone:
		c.note("prometheus", "anyone may read %s: prometheus.auth.mode is none", cfg.metricsPath)
	case cfg.auth.mode == authToken:
		c.ok("prometheus", "%s is read with %d tokens of the agent's own", cfg.metricsPath,
			len(cfg.auth.sources)+len(cfg.auth.digests))
	case user.Machine || user.Admin:
		c.ok("prometheus", "%s is read with the Drone token of an administrator or a machine user, as the agent's own",
			cfg.metricsPath)
	}
}

func (c *checkup) push(ctx context.Context, cfg *Config) {
	target, err := cfg.otlp.Target()
	switch {
	case err == nil && target == "":
		c.ok("otlp", "no endpoint, no push")
		return
	case err == nil:
		err = exporters.CheckOTLP(ctx, cfg.otlp)
	}
	if err != nil {
		c.fail("otlp", err, "")
		return
	}
	c.ok("otlp", "%s takes the metrics", target)
}
