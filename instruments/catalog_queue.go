package instruments

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/cicdconv"
)

// queue are the instruments to scale runners by and to see that something waits too long.
func queue() []Instrument {
	return []Instrument{
		{
			Name: "drone.queue.jobs", Unit: "{job}",
			Description: "Stages that wait for a runner (pending) or run, by what they need of a runner. A combination " +
				"that was seen once stays, at zero.",
			Attributes: []attribute.Key{attrStageStatus, attrOS, attrArch, attrType},
			Optional:   []Optional{{labelKey("NAME"), settingQueueLabels}},
			Absent:     absentCensus + "; a combination until it was seen",
			Example:    `sum by (os, arch) (drone_queue_jobs{drone_stage_status="pending"})`,
			observe: func(v *view, put observer) {
				for i := range v.Queue {
					put(float64(v.Queue[i].Pending), with(v.platform(&v.Queue[i], statusPending)...))
					put(float64(v.Queue[i].Running), with(v.platform(&v.Queue[i], statusRunning)...))
				}
			},
		},
		{
			Name: "drone.queue.oldest.age", Unit: "s", fractional: true,
			Description: "How long the oldest stage that waits for a runner has existed; 0 where none waits.",
			Attributes:  []attribute.Key{attrOS, attrArch, attrType},
			Absent:      absentCensus + "; a combination until it was seen",
			Example:     "max by (os, arch) (drone_queue_oldest_age_seconds) > 600",
			observe:     observeQueueAge,
		},
		{
			Name: "drone.build.oldest.age", Unit: "s", fractional: true,
			Description: "How long ago the oldest open build in that status was created; 0 where there is none. Blocked " +
				"is one that waits for approval.",
			Attributes: []attribute.Key{attrBuildStatus},
			Absent:     absentCensus,
			Example:    `drone_build_oldest_age_seconds{drone_build_status="running"} > 4 * 3600`,
			observe: func(v *view, put observer) {
				if v.Oldest != nil {
					put(v.age(v.Oldest.Pending), with(attrBuildStatus.String(statusPending)))
					put(v.age(v.Oldest.Running), with(attrBuildStatus.String(statusRunning)))
					put(v.age(v.Oldest.Blocked), with(attrBuildStatus.String(statusBlocked)))
				}
			},
		},
		conventional(cicdconv.WorkerCountObservable{}, Instrument{
			Kind:        UpDownCounter,
			Description: "Here the machines that run a stage now; Drone does not tell of idle ones.",
			Attributes:  []attribute.Key{semconv.CICDWorkerStateKey},
			Absent:      absentCensus,
			Example:     `max_over_time(cicd_worker_count{cicd_worker_state="busy"}[1d])`,
			observe:     func(v *view, put observer) { put.known(v.BusyWorkers, with(semconv.CICDWorkerStateBusy)) },
		}),
	}
}

// platform gives the attributes of stages in a status on a platform.
func (v *view) platform(p *Platform, status string) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attrStageStatus.String(status), attrOS.String(p.OS), attrArch.String(p.Arch), attrType.String(p.Type),
	}
	for i := range min(len(v.labels), len(p.Labels)) {
		attributes = append(attributes, v.labels[i].String(p.Labels[i]))
	}
	return attributes
}

// observeQueueAge takes platforms that differ only in their labels together.
func observeQueueAge(v *view, put observer) {
	type kind struct{ os, arch, platform string }
	oldest := make(map[kind]time.Time, len(v.Queue))
	for i := range v.Queue {
		p := &v.Queue[i]
		k := kind{p.OS, p.Arch, p.Type}
		if known := oldest[k]; known.IsZero() || !p.Oldest.IsZero() && p.Oldest.Before(known) {
			oldest[k] = p.Oldest
		}
	}
	for k, came := range oldest {
		put(v.age(came), with(attrOS.String(k.os), attrArch.String(k.arch), attrType.String(k.platform)))
	}
}

// with makes attributes into what an observer takes.
func with(attributes ...attribute.KeyValue) metric.ObserveOption {
	return metric.WithAttributes(attributes...)
}
