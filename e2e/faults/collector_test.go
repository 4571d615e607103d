package faults

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
)

// Whatever the line to the Collector suffers, polls and scrapes go on as if nothing was, and after it the push goes on
// within two intervals and counts what happened meanwhile. The log says once that the Collector is away, and once that
// it is back.
func TestLineToCollector(t *testing.T) {
	t.Parallel()
	for _, f := range everyFault(up, 200_000) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			to := collector.Start(t)
			w := newWorld(t, dronetest.Enterprise, false)
			line := between(t, to.Address())
			s := enact(t, w, w.address, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+line.address())
			s.ready(t)
			_, stopMoving := w.move(t)
			before := s.settled(t)
			s.agent.Await(t, "a push", func() error { _, err := to.Last(); return err })

			stopWatching := s.watch(t)
			polls := s.polls()
			line.suffer(t, f)
			wait(t, lasting)
			stopMoving()
			saw := stopWatching()
			polls = s.polls() - polls
			s.rightAgain(t)
			lifting := time.Now()
			line.lift(t, f)
			s.pushedAgain(t, to, lifting, f)
			t.Logf("pushed %s after the fault; %d polls, %+v", time.Since(lifting), polls, saw)
			if saw.down > 0 || saw.gone > 0 {
				t.Errorf("polls were disturbed: %+v", saw)
			}
			if least := int(lasting / (3 * interval)); polls < least {
				t.Errorf("%d polls in %s, want at least %d", polls, lasting, least)
			}
			s.toldOnce(t)
			s.asBefore(t, before)
			s.saidOnce(t, f)
			s.stop(t)
		})
	}
}

// late is how much later than it should something may happen on a machine that is busy with many tests.
const late = 3 * time.Second

// pushedAgain waits for a push of what was collected after the fault, which must not take longer than two intervals,
// and holds it against what was true all the while. Where the connection is dead, two pushes are late before another
// one takes its place.
func (s *scene) pushedAgain(t *testing.T, to *collector.Collector, since time.Time, f fault) {
	t.Helper()
	most := 2*pushEvery + late
	if f.forgets {
		most += 2 * pushEvery
	}
	var push collector.Push
	s.agent.Await(t, "a push after the fault", func() (err error) {
		if push, err = to.Last(); err == nil {
			err = after(push, since)
		}
		if took := time.Since(since); err != nil && took > most {
			t.Fatalf("no push in the %s after the fault: %v", took, err)
		}
		return err
	})
	points, err := push.Points("drone.build.finished", pmetric.MetricTypeSum)
	if err != nil {
		t.Fatal(err)
	}
	got := map[ending]int{}
	for _, point := range points {
		if point.Value > 0 {
			got[ending{point.Attributes["cicd.pipeline.name"], point.Attributes["drone.build.status"]}] += int(point.Value)
		}
	}
	if want := endings(s.world.ended()); !maps.Equal(got, want) {
		t.Errorf("at the Collector the builds that ended are %v, want %v", got, want)
	}
	is := s.world.figures()
	for name, value := range map[string]int{
		"drone.build.count": is.builds, "drone.user.count": is.users, "drone.repo.count": is.repos,
		"drone.pending.builds": is.open[0], "drone.pending.jobs": is.open[1],
		"drone.running.builds": is.open[2], "drone.running.jobs": is.open[3],
	} {
		if pushed, err := push.Gauge(name); err != nil || pushed != float64(value) {
			t.Errorf("at the Collector %s is %v (%v), want %d", name, pushed, err, value)
		}
	}
}

// after tells why a push is not of what was collected after a time.
func after(push collector.Push, since time.Time) error {
	metric, err := push.Metric("drone.build.finished")
	if err != nil {
		return err
	}
	points := metric.Sum().DataPoints()
	if points.Len() == 0 {
		return errors.New("no build is told")
	}
	if at := points.At(0).Timestamp().AsTime(); at.Before(since) {
		return fmt.Errorf("it is of %s, %s before the fault ended", clock(at), since.Sub(at))
	}
	return nil
}

// saidOnce holds that the log says once that the Collector went and that it came back, where no push got through.
func (s *scene) saidOnce(t *testing.T, f fault) {
	t.Helper()
	s.agent.Await(t, "the Collector to be back", func() error {
		away, back := s.agent.Lines("does not take the metrics"), s.agent.Lines("takes the metrics again")
		switch {
		case len(away) != len(back):
			return fmt.Errorf("it went %d times and came back %d times", len(away), len(back))
		case f.total && len(away) != 1:
			t.Fatalf("%d times the log says that the Collector is away, want 1:\n%s", len(away), strings.Join(away, "\n"))
		}
		t.Logf("away %d", len(away))
		return nil
	})
}
