package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// Editions of Drone, as instruments.Server names them.
const (
	enterprise = "enterprise"
	community  = "community"
)

// watchConfig is what the watcher needs to know of the configuration.
type watchConfig struct {
	Interval        time.Duration
	Lookback        time.Duration
	UsersInterval   time.Duration
	RecountInterval time.Duration
	Concurrency     int
	// Selection says which repositories have series of their own, and QueueLabels by which labels of its
	// stages the queue is split.
	Selection   selectionConfig
	QueueLabels []string
}

// watcher knows the state of one Drone server and brings it up to date, poll by poll, with as few requests
// as the edition allows. One poll at a time.
type watcher struct {
	api *droneapi.Client
	cfg watchConfig
	now func() time.Time
	log *slog.Logger

	server      *instruments.Server
	serverAsked time.Time

	users       instruments.Count
	usersDue    time.Time
	usersFailed int

	// listed is the last list of repositories, and repos what is known of each, by id.
	listed []droneapi.Repo
	// round counts the polls.
	round int64
	// doubted tells that the last list was not taken over, as it was shorter than what is known.
	doubted bool
	repos   map[int64]*repository
	// removed are the repositories that are no longer listed. Drone removes a repository's row and leaves its
	// builds, so they still count; and a list that was cut short by a failure of Drone's database, which
	// answers 200 all the same, is whole again the next time.
	removed map[int64]*repository

	selection *selection
	// platforms are the kinds of stages that were ever seen in the queue, each with none in it.
	platforms map[string]instruments.Platform
	// restored tells that what was known before a restart is known again.
	restored bool

	// tally counts the builds that were told.
	tally tally

	// mu guards what several repositories add to at once: the builds to be told, and the repositories that changed;
	// and in enterprise what is found out about single builds.
	mu      sync.Mutex
	told    []instruments.FinishedBuild
	touched map[int64]*repository
	// hung are the repositories about which Drone gave no answer in time in this poll.
	hung map[int64]bool

	enterprise enterpriseState
	community  communityState
}

func newWatcher(api *droneapi.Client, cfg watchConfig, now func() time.Time, log *slog.Logger) *watcher {
	return &watcher{
		api: api, cfg: cfg, now: now, log: log, repos: map[int64]*repository{},
		removed: map[int64]*repository{}, selection: newSelection(cfg.Selection), tally: tally{},
		touched: map[int64]*repository{}, hung: map[int64]bool{}, enterprise: newEnterpriseState(),
		platforms: map[string]instruments.Platform{},
	}
}

// poll brings the state up to date. What it learned before an error stays learned, and the next poll goes
// on from there; but only after a poll without error is the state as a whole that of one moment.
//
// A census of many repositories is spread over several polls: none takes much longer than until budget.
func (w *watcher) poll(ctx context.Context, budget time.Time) error {
	w.round++
	w.hung = map[int64]bool{}
	err := w.pollOnce(ctx, budget)
	if err != nil {
		w.serverAsked = time.Time{}    // it may be another server when it is back
		w.enterprise.polls = listEvery // and builds may have come and gone meanwhile that no queue showed
	}
	return err
}

func (w *watcher) pollOnce(ctx context.Context, budget time.Time) error {
	stages, err := w.identify(ctx)
	if err != nil {
		return err
	}
	if w.server.Edition == enterprise {
		err = w.pollEnterprise(ctx, stages)
	} else {
		err = w.pollCommunity(ctx, budget)
	}
	if err != nil {
		return err
	}
	return w.countUsers(ctx)
}

func (w *watcher) countUsers(ctx context.Context) error {
	if !w.usersDue.IsZero() && w.now().Before(w.usersDue) {
		return nil
	}
	asked := w.now()
	users, err := w.api.Users(ctx)
	if err != nil {
		alone := w.beside(err, "counting drone's users", &w.usersFailed)
		if alone || late(err) {
			w.usersDue = asked.Add(min(besideWait, w.cfg.UsersInterval))
		}
		if !alone {
			return err
		}
		if w.usersFailed >= besideTries {
			w.users = instruments.Count{}
		}
		return nil
	}
	w.users, w.usersDue, w.usersFailed = instruments.Known(int64(len(users))), asked.Add(w.cfg.UsersInterval), 0
	return nil
}

// What is asked for seldom, beside the state of the builds, must not take it down when Drone fails at it.
const (
	// besideWait is when it is asked for again.
	besideWait = time.Minute
	// besideTries is after how many failures in a row the old figure is no longer told.
	besideTries = 10
)

// beside tells whether an error concerns nothing but the one figure that was asked for, and logs it once. That Drone
// refuses the token or is out of reach concerns everything.
func (w *watcher) beside(err error, doing string, failures *int) bool {
	var status *droneapi.HTTPError
	if !errors.As(err, &status) || refusedToken(err) {
		return false
	}
	if *failures++; *failures == 1 {
		w.log.Warn(doing+" failed; the figure is kept for ten minutes, and all others are told",
			"error", err, "cure", cure(err))
	}
	return true
}

// late tells that no answer came in time: what is asked for seldom may be what takes so long, and must not make every
// poll fail. Any other failure of the line is over when the next poll gets as far.
func late(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// identify finds out which endpoints the server has, at start, after every failure and from time to time: an
// edition or a version is not configured. The queue is the question and, where there is one, a part of the
// poll, so it comes back with the answer.
func (w *watcher) identify(ctx context.Context) ([]droneapi.Stage, error) {
	known := w.server != nil && !w.serverAsked.IsZero() && w.now().Sub(w.serverAsked) < w.cfg.UsersInterval
	if known && w.server.Edition == community {
		return nil, nil
	}
	found := instruments.Server{Edition: enterprise}
	stages, err := w.api.Queue(ctx)
	switch {
	case missing(err):
		found.Edition = community
	case err != nil:
		return nil, err
	}
	if known && found.Edition == w.server.Edition {
		return stages, nil
	}
	asked := w.now()
	if found.Version, err = w.api.Version(ctx); err != nil {
		return nil, err
	}
	w.serverAsked = asked
	if w.server != nil && *w.server == found {
		return stages, nil
	}
	w.log.Info("watching drone", "server", w.api.Server(), "version", found.Version, "edition", found.Edition)
	if tooOld(found.Version) {
		w.log.Warn("this drone server is older than 1.6, the first that lists all repositories; update it",
			"version", found.Version)
	}
	if w.server != nil && w.server.Edition != found.Edition {
		w.forgetCounts()
	}
	w.server = &found
	return stages, nil
}

// forgetCounts lets go of what was counted in the way of the other edition. The ledgers and the open builds hold
// on either.
func (w *watcher) forgetCounts() {
	for _, repos := range []map[int64]*repository{w.repos, w.removed} {
		for id, r := range repos {
			if !r.counted && r.ledger.settled == 0 {
				r.ledger.settled = r.Counter // nothing was told of it yet, and what is there is of the past
			}
			r.builds, r.counted = 0, false
			w.touched[id] = r
		}
	}
	w.enterprise, w.community = newEnterpriseState(), communityState{}
}

// missing tells whether err says that the server has no queue: every community edition since 1.0 answers 501. A 404 or
// a web page in the place of the answer says nothing of the kind: some proxy put it there.
func missing(err error) bool {
	var status *droneapi.HTTPError
	return errors.As(err, &status) && status.Kind() == droneapi.NotImplemented
}

// askAllOpen asks about the open builds of every repository.
func (w *watcher) askAllOpen(ctx context.Context) error {
	var open []*repository
	for _, r := range w.repos {
		if len(r.open) > 0 && r.readable(w.now()) {
			open = append(open, r)
		}
	}
	return w.each(ctx, open, w.askOpen)
}

// errNotNow says that work was put off.
var errNotNow = errors.New("not now")

// each works on repositories, several at once. One that Drone does not serve is noted and costs the others
// nothing; any other error ends the poll.
func (w *watcher) each(ctx context.Context, repos []*repository, work func(context.Context, *repository) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.cfg.Concurrency)
	for _, r := range repos {
		if ctx.Err() != nil {
			break
		}
		if w.hangs(r) {
			continue // once in a poll is enough
		}
		group.Go(func() error {
			err := work(ctx, r)
			if !errors.Is(err, errNotNow) {
				w.touch(r)
			}
			return w.outcome(r, err)
		})
	}
	return group.Wait()
}

// touch notes that what is known of a repository may have changed.
func (w *watcher) touch(r *repository) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched[r.ID] = r
}

// outcome takes a repository's own errors for what they are, and lets the others through.
func (w *watcher) outcome(r *repository, err error) error {
	gone, refused := refusal(err)
	refused = refused || w.hangsAlone(r, err)
	switch {
	case errors.Is(err, errNotNow):
		return nil
	case refused:
		if r.refusals == 0 {
			w.log.Warn("drone does not serve the builds of a repository; they are counted by its counter alone, "+
				"and its open builds are not seen", "repository", r.Slug, "error", err)
		}
		r.refused(w.now(), gone)
		return nil
	case err == nil && r.refusals > 0 && !w.hangs(r):
		w.log.Info("drone serves the builds of a repository again", "repository", r.Slug)
		r.served()
	}
	return err
}

// hangsAlone tells whether err is a repository's that Drone hangs at, alone: one without an answer in time, a huge one
// perhaps, must not take all others down in every poll. A second one in a poll says that it is Drone that hangs.
func (w *watcher) hangsAlone(r *repository, err error) bool {
	if !late(err) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hung[r.ID] = true
	return len(w.hung) == 1
}

// hangs tells whether Drone gave no answer in time about a repository in this poll.
func (w *watcher) hangs(r *repository) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hung[r.ID]
}

// refusal tells whether err is Drone's refusal of one repository, and whether it says that there is no such
// repository (or none for this user), rather than that the server failed at it. What concerns the server or
// the token as a whole is none.
func refusal(err error) (gone, refused bool) {
	var (
		status  *droneapi.HTTPError
		data    *droneapi.DataError
		large   *droneapi.TooLargeError
		content *droneapi.ContentError
	)
	if errors.As(err, &data) || errors.As(err, &large) || errors.As(err, &content) && !content.HTML {
		return false, true
	}
	if !errors.As(err, &status) {
		return false, false
	}
	switch status.Kind() {
	case droneapi.Unauthorized, droneapi.TooManyRequests, droneapi.ProxyFailed:
		return false, false
	}
	return status.Status < 500, true
}

// snapshot tells what is known now.
func (w *watcher) snapshot() instruments.Snapshot {
	out := instruments.Snapshot{Server: w.server, UserCount: w.users}
	if w.listed == nil {
		return out
	}
	var states instruments.Repositories
	for _, r := range w.repos {
		if r.Active {
			states.Active++
		} else {
			states.Inactive++
		}
		if r.unreachable() {
			states.Unreachable++
		}
		if r.Active && w.selection.name(r) == instruments.Other {
			states.Folded++
		}
	}
	out.Repositories, out.RepoCount = &states, instruments.Known(states.Active)
	if w.server.Edition == enterprise {
		w.tellEnterprise(&out)
	} else {
		w.tellCommunity(&out)
	}
	return out
}

// tooOld tells whether the version is one before 1.6, which cannot list all repositories.
func tooOld(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major < 1 || major == 1 && minor < 6
}

// restore takes over what was known before a restart. The builds are counted anew where they were counted in the
// way of the other edition.
func (w *watcher) restore(edition string, repos map[int64]*repository) {
	w.repos, w.restored = repos, true
	w.server = &instruments.Server{Edition: edition}
}
