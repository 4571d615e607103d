package faults

import (
	"crypto/sha256"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

// mover lets builds come, run and end.
type mover struct {
	*world
	dice *rand.Rand
	// announced are the numbers that were taken and have no build yet.
	announced []build
	steps     int
	// short tells that builds end before they can be seen to wait or run.
	short atomic.Bool
}

// How the builds go on: pace is the time between two changes. They are made for a while, then none for as long, so that
// the figures are looked at while they move and while they stand still.
const (
	pace       = 200 * time.Millisecond
	movesInRow = 25
	openAtOnce = 10
)

// move lets things happen in Drone until stop is called.
func (w *world) move(t *testing.T) (m *mover, stop func()) {
	t.Helper()
	// By the test's name, so that no two tests see the same, and each the same every time.
	m = &mover{world: w, dice: rand.New(rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))))}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for {
			select {
			case <-ending:
				return
			case <-ticker.C:
				if m.steps++; m.steps/movesInRow%2 == 0 {
					m.step()
				}
			}
		}
	}()
	return m, func() {
		close(ending)
		<-ended
		for len(m.announced) > 0 {
			m.store()
		}
		if !m.short.Load() {
			m.create("faults/a") // the enterprise edition's queue moves, so that the next poll looks at everything
		}
	}
}

// step is one change.
func (m *mover) step() {
	all := m.unfinished()
	slug := "faults/" + string("abcdef"[m.dice.IntN(6)])
	switch n := m.dice.IntN(12); {
	case m.steps%50 == 0:
		m.change(func() build { // a repository comes up
			m.AddRepo(dronetest.Repo{Slug: "faults/late-" + time.Now().Format("150405.000"), Active: true})
			return build{}
		})
	case n == 0, m.short.Load(): // born and ended before anybody can see it
		m.end(m.create(slug))
	case n == 1:
		m.announced = append(m.announced, m.change(func() build { return build{slug, m.AnnounceBuild(slug)} }))
	case n == 2 && len(m.announced) > 0:
		m.store()
	case n < 6 && len(all) > 0:
		m.start(all[m.dice.IntN(len(all))])
	case len(all) < openAtOnce/2 || len(all) < openAtOnce && n < 9:
		m.create(slug)
	default:
		m.end(all[m.dice.IntN(len(all))])
	}
}

// spec is a build with one to three stages.
func (m *mover) spec() dronetest.BuildSpec {
	names := []dronetest.StageSpec{{Name: "build"}, {Name: "test"}, {Name: "arm", Arch: "arm64"}}
	return dronetest.BuildSpec{Stages: names[:1+m.dice.IntN(len(names))]}
}

func (m *mover) create(slug string) build {
	return m.change(func() build { return build{slug, m.CreateBuild(slug, m.spec()).Number} })
}

// store stores the build of the number that was taken first.
func (m *mover) store() {
	b := m.announced[0]
	m.announced = m.announced[1:]
	m.change(func() build {
		m.StoreBuild(b.slug, b.number, m.spec())
		return b
	})
}

// start lets a stage of a build run, where one waits.
func (m *mover) start(b build) {
	m.change(func() build {
		now, _ := m.Build(b.slug, b.number)
		for _, stage := range now.Stages {
			if stage.Status == dronetest.StatusPending {
				m.StartStage(b.slug, b.number, stage.Number, "runner-1")
				break
			}
		}
		return b
	})
}

// end ends a build, as it may end.
func (m *mover) end(b build) {
	statuses := []string{
		dronetest.StatusSuccess, dronetest.StatusSuccess, dronetest.StatusFailure, dronetest.StatusError,
		dronetest.StatusKilled,
	}
	m.change(func() build {
		m.FinishBuild(b.slug, b.number, statuses[m.dice.IntN(len(statuses))])
		return b
	})
}
