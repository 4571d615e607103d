package agent

import (
	"time"

	"drone-otel-agent/instruments"
	"drone-otel-agent/statuspage"
)

// How far back the figures are kept, and how close two points of them may be: a line is a few hundred points wide.
const (
	historySpan  = time.Hour
	historyPoint = 20 * time.Second
)

// history is the figures of the last hour, the oldest first.
type history struct{ points []historicPoint }

// historicPoint is the figures at one moment, in the order of figures; those that were not known are nil.
type historicPoint struct {
	at     time.Time
	values []*int64
}

// add takes the figures after a poll; after one that failed none is known, nor between two that are further apart than
// the figures are told. Of several in a short time the last stays.
func (h *history) add(s *instruments.Snapshot, staleAfter time.Duration) {
	if n := len(h.points); n > 0 && s.Polled.Sub(h.points[n-1].at) > staleAfter+historyPoint {
		h.points = append(h.points, historicPoint{
			at: h.points[n-1].at.Add(staleAfter), values: make([]*int64, len(figures(s))),
		})
	}
	point := historicPoint{at: s.Polled}
	for _, f := range figures(s) {
		value := known(f.count)
		if !s.Up {
			value = nil
		}
		point.values = append(point.values, value)
	}
	if n := len(h.points); n > 0 && point.at.Truncate(historyPoint).Equal(h.points[n-1].at.Truncate(historyPoint)) {
		h.points[n-1] = point
		return
	}
	gone := 0
	for gone < len(h.points) && point.at.Sub(h.points[gone].at) > historySpan {
		gone++
	}
	h.points = append(h.points[gone:], point)
}

// of is one figure in the hour before now.
func (h *history) of(figure int, now time.Time) []statuspage.Point {
	out := make([]statuspage.Point, 0, len(h.points))
	for _, p := range h.points {
		if now.Sub(p.at) <= historySpan {
			out = append(out, statuspage.Point{Time: moment(p.at), Value: p.values[figure]})
		}
	}
	return out
}
