package faults

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// witness scrapes the agent while a fault lasts and holds every answer against what was true.
type witness struct {
	scene *scene
	// successes are when the polls began whose figures were seen, and last is the sample before.
	successes []time.Time
	last      sample
	seen
}

// seen is how many scrapes showed what.
type seen struct {
	scrapes, up, down int
	// gone are those that showed that Drone is not known any more.
	gone int
	// slowest is how long the slowest took.
	slowest time.Duration
}

// scrapeEvery is the time between two scrapes.
const scrapeEvery = 2 * time.Second

// listEvery is after how many polls at the latest the repositories are listed, on the enterprise edition.
const listEvery = 4

// complaints bounds what one witness says.
const complaints = 5

// watch lets a witness look on until stop is called, which tells what was seen.
func (s *scene) watch(t *testing.T) (stop func() seen) {
	t.Helper()
	w := &witness{scene: s}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(scrapeEvery)
		defer ticker.Stop()
		for said := 0; said < complaints; {
			select {
			case <-ending:
				return
			case <-ticker.C:
				if err := w.look(t.Context()); err != nil {
					t.Errorf("at %s: %v", clock(time.Now()), err)
					said++
				}
			}
		}
	}()
	return func() seen {
		close(ending)
		<-ended
		return w.seen
	}
}

// look scrapes once.
func (w *witness) look(ctx context.Context) error {
	now, err := w.scene.scrape(ctx)
	w.scrapes++
	if err != nil {
		return err
	}
	w.slowest = max(w.slowest, now.ended.Sub(now.began))
	if now.up {
		w.up++
	} else {
		w.down++
	}
	if now.fresh.After(w.last.fresh) {
		w.successes = append(w.successes, now.fresh)
	}
	err = errors.Join(w.age(now), w.truth(now), w.counters(now))
	w.last = now
	return err
}

// age holds that nothing is shown that is too old.
func (w *witness) age(now sample) error {
	if !now.known {
		w.gone++
		if now.up {
			return errors.New("drone_up is 1 and the seven are missing")
		}
		return nil
	}
	if old := now.began.Sub(now.fresh); old > staleAfter {
		return fmt.Errorf("the seven are shown, and are %s old", old)
	}
	return nil
}

// truth holds that the seven were true.
func (w *witness) truth(now sample) error {
	if !now.known {
		return nil
	}
	// What is seldom asked for is from the poll that is the fourth before, which may be one before the witness came.
	var seldom time.Time
	if before := len(w.successes) - 1 - listEvery; before >= 0 {
		seldom = w.successes[before]
	}
	return w.scene.world.possible(now, window{since: now.fresh, seldom: seldom, until: now.ended})
}

// counters holds that no build is told that has not ended, and that none is taken back.
func (w *witness) counters(now sample) error {
	if !now.known {
		return nil
	}
	most := endings(w.scene.world.ended())
	var wrong []error
	for of, n := range now.finished {
		if n > most[of] {
			wrong = append(wrong, fmt.Errorf("%d builds of %v have ended, the agent tells %d", most[of], of, n))
		}
	}
	if w.last.known {
		for of, n := range w.last.finished {
			if now.finished[of] < n {
				wrong = append(wrong, fmt.Errorf("%s with %s goes back from %d to %d", of.slug, of.status, n, now.finished[of]))
			}
		}
	}
	return errors.Join(wrong...)
}
