package instruments

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Kind is what an instrument measures, in OpenTelemetry's words.
type Kind int

// The kinds. All but histograms are read from the snapshot where the instrument has an observe function.
const (
	// Gauge is a value of now.
	Gauge Kind = iota
	// Counter only grows.
	Counter
	// UpDownCounter is a value of now that may be summed over its attributes; Prometheus calls it a gauge.
	UpDownCounter
	// Histogram is a distribution.
	Histogram
)

func (k Kind) String() string {
	return [...]string{"gauge", "counter", "updown counter", "histogram"}[k]
}

// Instrument declares one instrument. It has exactly one of observe, finished and failed.
type Instrument struct {
	// Name is OpenTelemetry's name; Prometheus's follows from it, the unit and the kind.
	Name string
	// Unit is in UCUM: "s", "{build}", empty for none.
	Unit        string
	Kind        Kind
	Description string
	// Attributes are the keys that tell its series apart. Not every series has them all.
	Attributes []attribute.Key
	// Optional are further attributes, there where a setting says so.
	Optional []Optional
	// Setting is the setting that must be true for the instrument to be made, empty for none.
	Setting string
	// Absent says when there is no such series.
	Absent string
	// Example is a PromQL query that uses it.
	Example string

	// enabled tells whether the instrument is made at all; nil is always.
	enabled func(*Options) bool
	// fractional says that its values are not whole numbers: float64 rather than int64. Histograms always are.
	fractional bool
	// lasting says that it tells of the agent, and not of Drone: it does not go stale.
	lasting bool

	// observe gives the values of the newest snapshot, at every collection.
	observe func(v *view, put observer)
	// finished gives the values of a build that ended.
	finished func(b *FinishedBuild, put recorder)
	// failed gives the values of a request to Drone that failed.
	failed func(errorType string, put recorder)
}

// Optional is an attribute that a setting adds.
type Optional struct {
	Key     attribute.Key
	Setting string
}

// observer takes one value of an instrument that is read from the snapshot.
type observer func(value float64, attributes ...metric.ObserveOption)

// recorder takes one value of an instrument that is told of events.
type recorder func(value float64, attributes ...attribute.KeyValue)

// The settings that add instruments or attributes, as the configuration calls them.
const (
	settingStages      = "metrics.stages"
	settingSteps       = "metrics.steps"
	settingEvents      = "metrics.events"
	settingQueueLabels = "metrics.queue_labels"
)

// Why a series may be absent.
const (
	andStale      = "; and once no poll has succeeded for `poll.stale_after`"
	absentUnknown = "until known" + andStale
	absentCensus  = "until the first count is complete (community edition: a census of every repository)" + andStale
	absentPoll    = "until the first poll has ended"
	absentEvent   = "until there was one since the agent started; then it stays until the agent ends"
)

// Catalog returns every instrument, in the order of METRICS.md.
func Catalog() []Instrument {
	var all []Instrument
	for _, part := range [][]Instrument{
		droneOwn(), runs(), queue(), lastBuilds(), parts(), aboutAgent(), configured(), requests(),
	} {
		all = append(all, part...)
	}
	return all
}

// convention is what a typed instrument of the semantic conventions tells of itself.
type convention interface {
	Name() string
	Unit() string
	Description() string
}

// conventional completes an instrument with what the conventions say of it. The instrument's own description
// comes after theirs.
func conventional(c convention, in Instrument) Instrument {
	in.Name, in.Unit = c.Name(), c.Unit()
	in.Description = strings.TrimSpace(c.Description() + " " + in.Description)
	return in
}
