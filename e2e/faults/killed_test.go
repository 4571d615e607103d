package faults

import (
	"testing"

	"drone-otel-agent/e2e/process"
)

// An agent that is killed while the line to Drone is faulty, and started again on the same state while it still is,
// loses no build, and tells none twice but those of the poll in which it was killed.
func TestKilledOnFaultyLine(t *testing.T) {
	t.Parallel()
	for _, f := range everyFault(down, 20_000) {
		if f.name != "lossy" && f.name != "black hole" {
			continue
		}
		for _, edition := range editions {
			t.Run(f.name+"/"+edition.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, edition, false)
				line := between(t, w.address)
				s := enact(t, w, line.address())
				s.ready(t)
				_, stopMoving := w.move(t)
				s.settled(t)

				line.suffer(t, f)
				lives := []*process.Agent{s.agent}
				for range kills {
					wait(t, lasting/(kills+1))
					s.agent.Kill(t)
					s.begin(t)
					lives = append(lives, s.agent)
				}
				wait(t, lasting/(kills+1))
				stopMoving()
				line.lift(t, f)
				// Where polls went well in between, the enterprise edition's total may have been asked for while builds came
				// faster than the line let them be listed: then it is out by those for a minute.
				if f.total {
					s.rightAgain(t)
				}
				s.pollsGoOn(t, twoPolls+listEvery)
				toldThrough(t, w, lives)
				s.stop(t)
			})
		}
	}
}

// kills is how often an agent is killed while a fault lasts.
const kills = 3

// toldThrough holds that the lives of an agent together told each build that ended, and twice only what was told in a
// poll that was not over when the process was killed.
func toldThrough(t *testing.T, w *world, lives []*process.Agent) {
	t.Helper()
	ended, missing, before, again := w.ended(), w.ended(), map[build]bool{}, 0
	for i, agent := range lives {
		all, polls := told(t, agent)
		t.Logf("life %d: %d polls, %d builds", i+1, polls, len(all))
		here := map[build]bool{}
		for _, one := range all {
			switch {
			case ended[one.build] != one.status:
				t.Errorf("build %v was told as %s, and is %q", one.build, one.status, ended[one.build])
			case here[one.build]:
				t.Errorf("build %v was told twice in life %d", one.build, i+1)
			case before[one.build]:
				t.Errorf("build %v was told in life %d, and its telling was over in one before", one.build, i+1)
			}
			here[one.build] = true
		}
		for _, one := range all {
			if unfinished := one.poll == polls && i+1 < len(lives); unfinished {
				again++
			} else {
				before[one.build] = true
			}
			delete(missing, one.build)
		}
	}
	t.Logf("%d builds were told in polls that were cut off", again)
	for b, status := range missing {
		t.Errorf("build %v, which ended with %s, was never told", b, status)
	}
}
