package dronetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"
)

// Population says how much [Server.Populate] adds to the world.
type Population struct {
	Repos      int // named org0/service-00001 and so on; builds fall unevenly among them
	Inactive   int // how many of the repositories are disabled
	Users      int // besides those who are there
	Builds     int // all rows, the open ones among them; the others have ended
	OpenBuilds int // builds pending or running, at most one for each active repository
	OpenStages int // stages pending or running in them, two in five running; at least OpenBuilds
	Seed       uint64
	Span       time.Duration // how far back the oldest build lies; 180 days unless said
}

// Populate adds users, repositories and builds in bulk: 10,000 repositories with 870,000 builds take
// some tenths of a second and 40 MB (BenchmarkPopulate). The same population gives the same world. In
// every tenth repository the oldest builds were purged, so that it has fewer rows than its counter says.
func (s *Server) Populate(p Population) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, now := &s.world, s.unix()
	p.OpenStages = max(p.OpenStages, p.OpenBuilds)
	if p.OpenBuilds > p.Repos-p.Inactive || p.Builds < p.OpenBuilds || p.Builds > 0 && p.Repos == 0 {
		panic(fmt.Sprintf("dronetest: populate: %+v does not fit together", p))
	}
	span := int64(cmp.Or(p.Span, 180*24*time.Hour) / time.Second)
	for range p.Users {
		w.addUser(User{Login: fmt.Sprintf("user%05d", w.lastUser), Active: true}, now-span)
	}
	repos := make([]*repo, p.Repos)
	visibilities := [...]string{Private, Private, Internal, Public}
	for i := range repos {
		id := w.lastRepo + 1
		repos[i] = w.addRepo(Repo{
			Slug:       fmt.Sprintf("org%d/service-%05d", id%20, id),
			Active:     i >= p.Inactive,
			Visibility: visibilities[mix(uint64(id))%4],
		}, now-span)
	}
	w.fill(repos, p.Builds-p.OpenBuilds, p.Seed, now-span, now-3600)
	w.fillOpen(repos[min(p.Inactive, len(repos)):], p, now)
}

// fill adds n builds that ended, the oldest first, between two Unix times. The first repositories
// get far more than the last ones.
func (w *world) fill(repos []*repo, n int, seed uint64, from, to int64) {
	if n == 0 {
		return
	}
	pick := func(rng *rand.Rand) int {
		u := rng.Float64()
		return int(u * u * float64(len(repos)))
	}
	// The same choices twice: first to know how much room each repository needs.
	counts := make([]int, len(repos))
	for rng := rand.New(rand.NewPCG(seed, 0)); n > 0; n-- {
		counts[pick(rng)]++
	}
	for i, rp := range repos {
		n += counts[i]
		rp.rows = make([]row, 0, counts[i]+2)
		if rp.ID%10 == 0 {
			rp.Counter = 1 + int64(mix(uint64(rp.ID))%50) // these were purged
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		rp := repos[pick(rng)]
		rp.Counter++
		x := mix(seed ^ uint64(w.lastBuild))
		status := [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 4, 0, 0}[x%16]
		created := from + (to-from)*int64(i)/int64(n)
		stages := uint8(1 + x>>8%16/12)
		pending, runs := uint32(1+x>>16%90), uint32(10+x>>32%600)
		rp.rows = append(rp.rows, w.newRow(rp.Counter, created, pending, runs, stages, status))
	}
}

// fillOpen adds the builds that are open, created in the hour before now.
func (w *world) fillOpen(repos []*repo, p Population, now int64) {
	rng := rand.New(rand.NewPCG(p.Seed, 1))
	order := rng.Perm(len(repos))
	for i := range p.OpenBuilds {
		rp := repos[order[i]]
		created := now - 3600 + 3500*int64(i)/int64(p.OpenBuilds)
		stages := p.OpenStages / p.OpenBuilds
		if i < p.OpenStages%p.OpenBuilds {
			stages++
		}
		spec := BuildSpec{Stages: make([]StageSpec, stages)}
		for j := range spec.Stages {
			if rng.IntN(4) == 0 {
				spec.Stages[j] = StageSpec{Arch: "arm64", Variant: "v8"}
			}
		}
		b := w.store(rp, rp.announce(), spec, created)
		for j, st := range b.Stages {
			if (i+j)%5 < 2 {
				// The stage is pending: it cannot fail to start.
				_ = w.start(b, st, fmt.Sprintf("runner-%d", 1+rng.IntN(200)), created+rng.Int64N(90))
			}
		}
		w.index(b)
	}
}
