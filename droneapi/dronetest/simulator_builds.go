package dronetest

import "fmt"

// newBuild lets one repository have a new build, in one of the ways that happen.
func (sim *Simulator) newBuild(now int64) {
	w := &sim.s.world
	if len(w.repos) == 0 || len(w.users) == 0 {
		return
	}
	rp := w.repos[sim.rng.IntN(len(w.repos))]
	if !rp.Active {
		return
	}
	spec := sim.spec(rp)
	number := rp.announce()
	switch n := sim.rng.IntN(100); {
	case n < 1: // the row is never stored
		return
	case n < 4: // the row is stored a while after the number was taken
		id := rp.ID
		sim.later(sim.between(2, 40), func(now int64) {
			// It may have been deleted since, by whoever else moves this world.
			if rp := w.byID[id]; rp != nil && rp.index(number) < 0 {
				sim.plan(rp, w.store(rp, number, spec, now))
			}
		})
		return
	case n < 6:
		spec.Error = "yaml: line 7: did not find expected key"
	}
	sim.plan(rp, w.store(rp, number, spec, now))
}

// plan makes the appointments that a new build brings along.
func (sim *Simulator) plan(rp *repo, b *Build) {
	w := &sim.s.world
	if b.has(StatusBlocked) {
		sim.later(sim.between(30, 300), func(int64) {
			sim.decide(b)
		})
		return
	}
	if sim.chance(3) {
		sim.later(sim.between(5, 120), func(now int64) {
			// By then it may be over; a user's "drone build stop" does nothing either.
			_ = w.cancel(b, StatusKilled, now)
			w.index(b)
		})
	}
	if sim.chance(30) {
		sim.skipOlder(rp, b)
	}
}

// decide approves or declines a blocked build; one in ten is forgotten.
func (sim *Simulator) decide(b *Build) {
	w := &sim.s.world
	if rp := w.byID[b.RepoID]; rp == nil || rp.full[b.ID] != b || !b.has(StatusBlocked) {
		return
	}
	switch n := sim.rng.IntN(10); {
	case n < 6:
		_ = w.approve(b) // a stage is blocked: it cannot fail
	case n < 9:
		_ = w.decline(b) // all are, nobody approves single ones
	}
	w.index(b)
}

// skipOlder skips the builds of the same branch that no runner has begun.
func (sim *Simulator) skipOlder(rp *repo, b *Build) {
	w := &sim.s.world
	for i := len(rp.rows) - 1; i >= max(0, len(rp.rows)-10); i-- {
		o := rp.full[int64(rp.rows[i].id)]
		if o == nil || o == b || o.Ref != b.Ref || o.Status != StatusPending || o.has(StatusBlocked) {
			continue
		}
		_ = w.cancel(o, StatusSkipped, sim.last) // it is pending: it cannot fail
		w.index(o)
	}
}

// spec rolls what a build is.
func (sim *Simulator) spec(rp *repo) BuildSpec {
	users := sim.s.world.users
	spec := BuildSpec{Sender: users[sim.rng.IntN(len(users))].Login, Stages: sim.stages()}
	switch n := sim.rng.IntN(100); {
	case n < 30:
		spec.Event, spec.Branch = "pull_request", rp.Branch
		spec.Blocked = sim.chance(12)
	case n < 60:
		spec.Branch = fmt.Sprintf("feature/x-%d", sim.rng.IntN(5))
	case n < 66:
		spec.Event, spec.Cron = "cron", "nightly"
	case n < 70:
		spec.Event, spec.Ref = "tag", fmt.Sprintf("refs/tags/v1.%d.0", rp.Counter+1)
	case n < 74 && rp.Counter > 0:
		spec.Event, spec.Deploy, spec.Parent = "promote", "production", rp.Counter
	}
	return spec
}

// stages rolls one to three stages: alone, side by side, or one after the other.
func (sim *Simulator) stages() []StageSpec {
	test := sim.platform()
	test.Name, test.Steps = "test", []string{"clone", "deps", "lint", "test"}
	image := sim.platform()
	image.Name, image.Steps = "image", []string{"clone", "build", "publish"}
	switch n := sim.rng.IntN(100); {
	case n < 55:
		return []StageSpec{test}
	case n < 70:
		return []StageSpec{test, image}
	case n < 85:
		image.DependsOn = []string{"test"}
		return []StageSpec{test, image}
	default:
		image.DependsOn = []string{"test"}
		notify := StageSpec{
			Name: "notify", DependsOn: []string{"test", "image"}, OnFailure: true, Steps: []string{"message"},
		}
		return []StageSpec{test, image, notify}
	}
}

// platform rolls where a stage wants to run.
func (sim *Simulator) platform() StageSpec {
	switch n := sim.rng.IntN(100); {
	case n < 70:
		return StageSpec{}
	case n < 90:
		return StageSpec{Arch: "arm64", Variant: "v8"}
	case n < 95:
		return StageSpec{OS: "windows", Kernel: "1809"}
	default:
		return StageSpec{OS: "darwin", Arch: "arm64", Type: "exec"}
	}
}

// purge keeps the newest builds of each repository.
func (sim *Simulator) purge(int64) {
	w := &sim.s.world
	for _, rp := range w.repos {
		if len(rp.rows) > keptBuilds {
			w.purge(rp, rp.Counter-keptBuilds)
		}
	}
	sim.later(3600, sim.purge)
}

// newRepo lets a repository come up.
func (sim *Simulator) newRepo(now int64) {
	w := &sim.s.world
	slug := fmt.Sprintf("org%d/tool-%05d", sim.rng.IntN(4), w.lastRepo+1)
	if w.bySlug[slug] == nil && len(w.repos) < mostRepos {
		w.addRepo(Repo{Slug: slug, Active: true, Visibility: Internal}, now)
	}
	sim.later(sim.between(300, 900), sim.newRepo)
}

// newUser lets a user come up.
func (sim *Simulator) newUser(now int64) {
	w := &sim.s.world
	login := fmt.Sprintf("member%05d", w.lastUser+1)
	if w.user(login) == nil && len(w.users) < mostUsers {
		w.addUser(User{Login: login, Active: true}, now)
	}
	sim.later(sim.between(200, 600), sim.newUser)
}
