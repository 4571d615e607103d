package dronetest

import (
	"cmp"
	"fmt"
	"slices"
)

// BuildSpec says what a new build is. Its zero value is a push to the default branch with one
// stage, default, on linux/amd64.
type BuildSpec struct {
	Event   string // push unless said
	Branch  string // the target; the repository's default branch unless said
	Ref     string // refs/heads/BRANCH unless said, refs/pull/NUMBER/head for pull_request
	Sender  string // also the author
	Message string
	Parent  int64  // the number of the build that this one repeats or promotes
	Deploy  string // the target of promote and rollback
	Cron    string
	Params  map[string]string

	Stages []StageSpec
	// Blocked makes the build wait for approval: all its stages are blocked, and the build itself
	// is pending, which is what Drone's trigger stores.
	Blocked bool
	// Error makes a build that ended as it was created, with status error and without stages, as
	// for a YAML file that Drone cannot read. It is the message.
	Error string
}

// StageSpec says what a stage of a new build is. OS is linux, Arch amd64, Type docker, Name default
// (with a number from the second on) unless said.
type StageSpec struct {
	Name, Type, OS, Arch, Variant, Kernel string

	DependsOn []string // names of stages that must be over first
	OnFailure bool     // runs after a failure, too
	Labels    map[string]string
	Limit     int
	Steps     []string // clone, build and test unless said
}

// CreateBuild takes the next number and stores the build with its stages.
func (s *Server) CreateBuild(slug string, spec BuildSpec) Build {
	var b Build
	s.withRepo("create build in", slug, func(rp *repo) {
		number := rp.announce()
		b = s.world.store(rp, number, spec, s.unix()).clone()
	})
	return b
}

// AnnounceBuild takes the next number without storing a build: the repository's counter says it,
// and the build is a 404 until [Server.StoreBuild], perhaps for ever.
func (s *Server) AnnounceBuild(slug string) int64 {
	var number int64
	s.withRepo("announce build in", slug, func(rp *repo) { number = rp.announce() })
	return number
}

func (rp *repo) announce() int64 {
	rp.Counter++
	rp.touch()
	return rp.Counter
}

// StoreBuild stores a build under a number that was announced before.
func (s *Server) StoreBuild(slug string, number int64, spec BuildSpec) Build {
	var b Build
	s.withRepo("store build in", slug, func(rp *repo) {
		if number < 1 || number > rp.Counter || rp.index(number) >= 0 {
			panic(fmt.Sprintf("dronetest: store build %s/%d: not announced, or stored already", slug, number))
		}
		b = s.world.store(rp, number, spec, s.unix()).clone()
	})
	return b
}

// store makes the rows of a build and its stages.
func (w *world) store(rp *repo, number int64, spec BuildSpec, now int64) *Build {
	b := newBuild(rp, number, spec, now)
	b.ID = next(&w.lastBuild, 0)
	if spec.Error != "" {
		b.Status, b.Error, b.Trigger = StatusError, spec.Error, ""
		b.Started, b.Finished = now, now
		spec.Stages = nil
	} else if len(spec.Stages) == 0 {
		spec.Stages = []StageSpec{{}}
	}
	for i, st := range spec.Stages {
		stage := newStage(i+1, st, now)
		stage.ID, stage.RepoID, stage.BuildID = next(&w.lastStage, 0), rp.ID, b.ID
		switch {
		case spec.Blocked:
			stage.Status = StatusBlocked
		case len(stage.DependsOn) > 0:
			stage.Status = StatusWaiting
		}
		b.Stages = append(b.Stages, stage)
	}
	w.insert(rp, b)
	return b
}

// insert adds a build to its repository.
func (w *world) insert(rp *repo, b *Build) {
	if n := len(rp.rows); n > 0 && int64(rp.rows[n-1].number) > b.Number {
		rp.mixed = true
	}
	if rp.full == nil {
		rp.full = make(map[int64]*Build)
	}
	rp.full[b.ID] = b
	rp.rows = append(rp.rows, row{id: uint32(b.ID), number: uint32(b.Number)})
	w.index(b)
}

// index keeps the set of open builds true after a change of the build's stages.
func (w *world) index(b *Build) {
	if b.has(StatusPending) || b.has(StatusRunning) {
		w.open[b.ID] = b
	} else {
		delete(w.open, b.ID)
	}
}

func newBuild(rp *repo, number int64, spec BuildSpec, now int64) *Build {
	branch := cmp.Or(spec.Branch, rp.Branch)
	event := cmp.Or(spec.Event, "push")
	trigger := "@hook"
	switch {
	case event == "cron":
		trigger = "@cron"
	case spec.Parent != 0 || event == "custom":
		trigger = cmp.Or(spec.Sender, "octocat")
	}
	ref := cmp.Or(spec.Ref, "refs/heads/"+branch)
	if spec.Ref == "" && event == "pull_request" {
		ref = fmt.Sprintf("refs/pull/%d/head", number)
	}
	after := commit(uint64(rp.ID), uint64(number))
	sender := cmp.Or(spec.Sender, "octocat")
	return &Build{
		RepoID: rp.ID, Number: number, Trigger: trigger, Parent: spec.Parent, Status: StatusPending, Event: event,
		Link:    rp.Link + "/commit/" + after,
		Message: cmp.Or(spec.Message, fmt.Sprintf("change %d\n", number)),
		Before:  "0000000000000000000000000000000000000000", After: after, Ref: ref, Source: branch, Target: branch,
		Author: sender, AuthorName: "A. Committer", AuthorEmail: "a@example.com", Sender: sender,
		Params: spec.Params, Cron: spec.Cron, Deploy: spec.Deploy, Created: now, Updated: now, Version: 1,
	}
}

func newStage(number int, spec StageSpec, now int64) *Stage {
	name := "default"
	if number > 1 {
		name = fmt.Sprintf("default-%d", number)
	}
	plan := spec.Steps
	if plan == nil {
		plan = []string{"clone", "build", "test"}
	}
	return &Stage{
		Number: number, Name: cmp.Or(spec.Name, name), Kind: "pipeline", Type: cmp.Or(spec.Type, "docker"),
		Status: StatusPending, OS: cmp.Or(spec.OS, "linux"), Arch: cmp.Or(spec.Arch, "amd64"),
		Variant: spec.Variant, Kernel: spec.Kernel, Limit: spec.Limit,
		Created: now, Updated: now, Version: 1, OnSuccess: true, OnFailure: spec.OnFailure,
		DependsOn: spec.DependsOn, Labels: spec.Labels, plan: plan,
	}
}

// commit makes up a commit's hash.
func commit(a, b uint64) string {
	x := mix(a<<32 ^ b)
	return fmt.Sprintf("%016x%016x%08x", x, mix(x), mix(x+1)>>32)
}

// mix is the finalizer of splitmix64: it makes neighbouring numbers look unrelated.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// index of the row with a build's number, or -1.
func (rp *repo) index(number int64) int {
	if rp.mixed {
		return slices.IndexFunc(rp.rows, func(r row) bool { return int64(r.number) == number })
	}
	i, ok := slices.BinarySearchFunc(rp.rows, number, func(r row, n int64) int {
		return cmp.Compare(int64(r.number), n)
	})
	if !ok {
		return -1
	}
	return i
}

// build gives the build with a number, or nil. The caller must not change it: it may have been
// made just now from a row.
func (rp *repo) build(number int64) *Build {
	i := rp.index(number)
	if i < 0 {
		return nil
	}
	return rp.at(i)
}

func (rp *repo) at(i int) *Build {
	if b := rp.full[int64(rp.rows[i].id)]; b != nil {
		return b
	}
	return rp.expand(rp.rows[i])
}

// page gives builds without stages, newest first; ref "" stands for all.
func (rp *repo) page(ref string, limit, offset int) []Build {
	list := []Build{}
	if ref == "" {
		from, to := window(len(rp.rows), limit, offset)
		for i := from; i < to; i++ {
			b := *rp.at(len(rp.rows) - 1 - i)
			b.Stages = nil
			list = append(list, b)
		}
		return list
	}
	for i := len(rp.rows) - 1; i >= 0; i-- {
		if b := *rp.at(i); b.Ref == ref {
			b.Stages = nil
			list = append(list, b)
		}
	}
	from, to := window(len(list), limit, offset)
	return list[from:to]
}

// Build gives a copy of a build with its stages; false where the repository or the number is none.
func (s *Server) Build(slug string, number int64) (Build, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rp := s.world.bySlug[slug]
	if rp == nil {
		return Build{}, false
	}
	b := rp.build(number)
	if b == nil {
		return Build{}, false
	}
	return b.clone(), true
}

// PurgeBuilds deletes the builds with numbers less than below, finished or not, as
// "drone build purge" does. The counter stays.
func (s *Server) PurgeBuilds(slug string, below int64) {
	s.withRepo("purge", slug, func(rp *repo) { s.world.purge(rp, below) })
}

func (w *world) purge(rp *repo, below int64) {
	rp.rows = slices.DeleteFunc(rp.rows, func(r row) bool {
		if int64(r.number) >= below {
			return false
		}
		delete(rp.full, int64(r.id))
		delete(w.open, int64(r.id))
		return true
	})
}
