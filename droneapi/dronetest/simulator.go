package dronetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Simulator makes a server busy: builds come and go, runners are few, so that queues build up and
// drain again about three times an hour. The same seed and clock make the same history, however
// often [Simulator.Step] is called.
type Simulator struct {
	s       *Server
	rng     *rand.Rand
	last    int64 // Unix seconds up to which the world has moved
	runners []runner
	jobs    []*job
	due     []appointment
}

// runner is a machine that runs one stage at a time.
type runner struct {
	name, os, arch string
	busy           bool
}

// job is a stage that runs.
type job struct {
	build  *Build
	stage  *Stage
	runner *runner // nil: a machine that the simulator does not know
	end    int64   // Unix seconds
	status string
}

// appointment is something that will happen at a time, in Unix seconds.
type appointment struct {
	at int64
	do func(now int64)
}

const (
	catchUp    = 3600 // seconds that one step makes up for at most
	keptBuilds = 500  // of each repository; older ones are purged every hour
	mostRepos  = 60
	mostUsers  = 40
)

// NewSimulator makes a server busy from its present time on. A server without repositories gets
// thirty, with two thousand builds of the last week; stages that run already end in a while.
func NewSimulator(s *Server, seed uint64) *Simulator {
	sim := &Simulator{s: s, rng: rand.New(rand.NewPCG(seed, seed)), last: s.unix()}
	for _, m := range []struct {
		os, arch string
		n        int
	}{{"linux", "amd64", 6}, {"linux", "arm64", 3}, {"windows", "amd64", 1}, {"darwin", "arm64", 1}} {
		for i := range m.n {
			name := fmt.Sprintf("%s-%s-%d", m.os, m.arch, i+1)
			sim.runners = append(sim.runners, runner{name: name, os: m.os, arch: m.arch})
		}
	}
	if len(s.Repos()) == 0 {
		s.Populate(Population{Repos: 30, Inactive: 2, Users: 12, Builds: 2000, Seed: seed, Span: 7 * 24 * 3600e9})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.world.openStages() {
		if b := s.world.open[st.BuildID]; st.Status == StatusRunning {
			sim.jobs = append(sim.jobs, &job{
				build: b, stage: st, end: sim.last + sim.between(10, 120), status: StatusSuccess,
			})
		}
	}
	sim.later(3600, sim.purge)
	sim.later(sim.between(300, 900), sim.newRepo)
	sim.later(sim.between(200, 600), sim.newUser)
	return sim
}

// Step moves the world to the server's present time, second by second; of a pause of more than an
// hour only the last hour is made up for. It is not safe for concurrent use with itself.
func (sim *Simulator) Step() {
	sim.s.mu.Lock()
	defer sim.s.mu.Unlock()
	now := sim.s.unix()
	sim.last = max(sim.last, now-catchUp)
	for sim.last < now {
		sim.last++
		sim.tick(sim.last)
	}
}

// tick is one second.
func (sim *Simulator) tick(now int64) {
	for i := 0; i < len(sim.due); {
		if sim.due[i].at > now {
			i++
			continue
		}
		do := sim.due[i].do
		sim.due = slices.Delete(sim.due, i, i+1)
		do(now) // may make an appointment, at the end of the list
	}
	sim.finishJobs(now)
	if sim.rng.Float64() < rate(now) {
		sim.newBuild(now)
	}
	sim.assign(now)
}

// later makes an appointment, in seconds from now.
func (sim *Simulator) later(seconds int64, do func(now int64)) {
	sim.due = append(sim.due, appointment{sim.last + seconds, do})
}

// between rolls a number from low to high, both included.
func (sim *Simulator) between(low, high int64) int64 { return low + sim.rng.Int64N(high-low+1) }

// chance is true in so many of a hundred cases.
func (sim *Simulator) chance(percent int) bool { return sim.rng.IntN(100) < percent }

// rate is the chance of a new build in a second: twenty minutes make a wave, whose crest is more
// than the runners can do.
func rate(now int64) float64 {
	phase := now % 1200
	if phase > 600 {
		phase = 1200 - phase
	}
	return 0.02 + 0.08*float64(phase)/600
}

// finishJobs ends the stages whose time is up and frees the runners of those that ended otherwise.
func (sim *Simulator) finishJobs(now int64) {
	w := &sim.s.world
	sim.jobs = slices.DeleteFunc(sim.jobs, func(j *job) bool {
		over := done(j.stage.Status) || w.open[j.build.ID] != j.build
		if !over && j.end > now {
			return false
		}
		if !over {
			// The stage runs: it cannot fail to end.
			_ = w.finish(j.build, j.stage, j.status, now)
			w.index(j.build)
		}
		if j.runner != nil {
			j.runner.busy = false
		}
		return true
	})
}

// assign gives pending stages to free runners, the oldest stage first.
func (sim *Simulator) assign(now int64) {
	w := &sim.s.world
	for _, st := range w.openStages() {
		b := w.open[st.BuildID]
		if st.Status != StatusPending || w.byID[b.RepoID] == nil {
			continue
		}
		i := slices.IndexFunc(sim.runners, func(r runner) bool {
			return !r.busy && r.os == st.OS && r.arch == st.Arch
		})
		if i < 0 {
			continue
		}
		r := &sim.runners[i]
		r.busy = true
		// The stage is pending: it cannot fail to start.
		_ = w.start(b, st, r.name, now)
		sim.jobs = append(sim.jobs, &job{b, st, r, now + sim.duration(), sim.outcome()})
	}
}

// duration of a stage in seconds: most take a minute or two, some much longer.
func (sim *Simulator) duration() int64 {
	d := sim.between(20, 120)
	if sim.chance(8) {
		d += sim.between(60, 400)
	}
	return d
}

func (sim *Simulator) outcome() string {
	switch n := sim.rng.IntN(100); {
	case n < 85:
		return StatusSuccess
	case n < 97:
		return StatusFailure
	default:
		return StatusError
	}
}
