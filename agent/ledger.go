package agent

import (
	"time"

	"drone-otel-agent/droneapi"
)

// A number that was announced and is still not listed is given up after missedPolls, but not before missedTime: its
// build was never stored.
const (
	missedPolls = 3
	missedTime  = 45 * time.Second
)

// patience is after how many polls a number is given up.
func patience(interval time.Duration) int {
	return max(missedPolls, int((missedTime+interval-1)/interval))
}

// ledger accounts for the build numbers of one repository: each number is decided on once, as stored or as
// a gap. Drone announces a number (by the repository's counter) before it stores the build, stores builds
// out of order, and sometimes never stores one.
type ledger struct {
	// settled is the highest number that was looked for. All up to it are decided on, save the awaited.
	settled int64
	// awaited are the numbers that were looked for and not found, with the polls they were missed in.
	awaited map[int64]int
	// round is the poll in which it was settled last: a number is missed once in a poll, however often it is
	// looked for.
	round int64
}

// lowest is the lowest number that is not decided on, given the repository's counter; open tells whether
// there is any.
func (l *ledger) lowest(counter int64) (number int64, open bool) {
	number, open = l.settled+1, counter > l.settled
	for n := range l.awaited {
		if !open || n < number {
			number, open = n, true
		}
	}
	return number, open
}

// settle takes the builds that the server lists, from the newest down to l.lowest(counter) at least, and
// returns those that were not known before. A number that was looked for patience times is given up.
func (l *ledger) settle(listed []droneapi.Build, counter, round int64, patience int,
) (fresh []droneapi.Build) {
	stored := make(map[int64]bool, len(listed))
	top := counter
	for _, build := range listed {
		if stored[build.Number] {
			continue // two pages may overlap
		}
		stored[build.Number] = true
		top = max(top, build.Number)
		if _, awaited := l.awaited[build.Number]; awaited || build.Number > l.settled {
			fresh = append(fresh, build)
		}
	}
	again := l.round == round
	l.round = round
	for n, missed := range l.awaited {
		switch {
		case !stored[n] && again:
		case stored[n], missed+1 >= patience:
			delete(l.awaited, n)
		default:
			l.awaited[n] = missed + 1
		}
	}
	for n := max(l.settled+1, top-manyAwaited+1); n <= top; n++ {
		if !stored[n] {
			l.await(n)
		}
	}
	l.settled = max(l.settled, top)
	return fresh
}

func (l *ledger) await(number int64) {
	if l.awaited == nil {
		l.awaited = map[int64]int{}
	}
	l.awaited[number] = 1
}

// awaitAll awaits every number from one to the other, both included.
func (l *ledger) awaitAll(from, to int64) {
	for n := max(from, to-manyAwaited+1); n <= to; n++ {
		l.await(n)
	}
}

// manyAwaited bounds how many missing numbers in a row are waited for: no server has more on the way, and a
// counter that leaps by a billion is no reason to keep a billion numbers.
const manyAwaited = 100
