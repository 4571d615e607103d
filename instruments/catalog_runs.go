package instruments

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/cicdconv"
)

// runs are the instruments of OpenTelemetry's conventions for CI/CD, where a build is a run of a pipeline and
// the repository is the pipeline; and the count of builds by Drone's own statuses.
func runs() []Instrument {
	return []Instrument{
		conventional(cicdconv.PipelineRunDuration{}, Instrument{
			Kind: Histogram,
			Description: "Pending is the time from creation to start, waiting for approval included; executing that from " +
				"start to end. Recorded when the build has ended. A build cancelled before it started has only a pending " +
				"time, with its result; one that was declined, or whose configuration was refused, has none.",
			Attributes: []attribute.Key{attrRepository, attrRunState, attrResult, attrErrorType, attrBranchClass},
			Optional:   []Optional{{attrBuildEvent, settingEvents}},
			Absent:     absentEvent,
			Example: "histogram_quantile(0.9, sum by (le) " +
				`(rate(cicd_pipeline_run_duration_seconds_bucket{cicd_pipeline_run_state="pending"}[1h])))`,
			finished: runDurations,
		}),
		conventional(cicdconv.PipelineRunActiveObservable{}, Instrument{
			Kind: UpDownCounter,
			Description: "Builds with at least one stage in that state: a build with one stage waiting and another " +
				"running is in both.",
			Attributes: []attribute.Key{attrRepository, attrRunState},
			Absent:     absentCensus + "; of a repository whose open builds Drone does not tell",
			Example:    `topk(10, cicd_pipeline_run_active{cicd_pipeline_run_state="executing"})`,
			observe: func(v *view, put observer) {
				for i := range v.Repos {
					put.known(v.Repos[i].Pending, v.series[i].pending...)
					put.known(v.Repos[i].Running, v.series[i].executing...)
				}
			},
		}),
		conventional(cicdconv.PipelineRunErrors{}, Instrument{
			Kind: Counter,
			Description: "Here one for each build that failed, by what failed it: a step, the configuration, a runner, " +
				"a timeout.",
			Attributes: []attribute.Key{attrRepository, attrErrorType},
			Absent:     absentEvent,
			Example:    `sum by (cicd_pipeline_name) (increase(cicd_pipeline_run_errors_total{error_type="runner"}[1d]))`,
			finished: func(b *FinishedBuild, put recorder) {
				if b.ErrorType != "" {
					put(1, attrRepository.String(b.Repository), attrErrorType.String(b.ErrorType))
				}
			},
		}),
		{
			Name: "drone.build.finished", Unit: "{build}", Kind: Counter,
			Description: "Builds that ended while the agent watched, by Drone's own status.",
			Attributes:  []attribute.Key{attrRepository, attrBuildStatus},
			Absent: absentUnknown + "; a status other than success and failure until a build of the repository ended " +
				"with it",
			Example: `sum by (cicd_pipeline_name) (rate(drone_build_finished_total{drone_build_status="failure"}[1h]))`,
			observe: observeFinished,
		},
	}
}

// observeFinished counts success and failure from zero, so that the first build is an increase.
func observeFinished(v *view, put observer) {
	for i := range v.Repos {
		counts, series := v.Repos[i].Finished, v.series[i]
		put(float64(counts[statusSuccess]), series.finished(statusSuccess)...)
		put(float64(counts[statusFailure]), series.finished(statusFailure)...)
		for status, n := range counts {
			if status != statusSuccess && status != statusFailure {
				put(float64(n), series.finished(status)...)
			}
		}
	}
}

// runDurations tells how long a build waited and how long it ran. The result stands where it was decided: at
// the time that ran last.
func runDurations(b *FinishedBuild, put recorder) {
	class := "other"
	if b.DefaultBranch {
		class = "default"
	}
	common := []attribute.KeyValue{attrRepository.String(b.Repository), attrBranchClass.String(class)}
	if b.Event != "" {
		common = append(common, attrBuildEvent.String(b.Event))
	}
	outcome := slices.Concat(common, resultOf(b.Status))
	if b.ErrorType != "" {
		outcome = append(outcome, attrErrorType.String(b.ErrorType))
	}
	seconds, known := b.waited()
	switch {
	case known && b.ran():
		put(seconds, append(common, semconv.CICDPipelineRunStatePending)...)
	case known:
		put(seconds, append(outcome, semconv.CICDPipelineRunStatePending)...)
	}
	if seconds, known := b.executed(); known {
		put(seconds, append(outcome, semconv.CICDPipelineRunStateExecuting)...)
	}
}

// parts are the stages and steps of builds that ended.
func parts() []Instrument {
	return []Instrument{
		{
			Name: "drone.stage.duration", Unit: "s", Kind: Histogram,
			Description: "Duration of a stage (a pipeline of the YAML file), recorded when its build has ended. Pending is " +
				"the time from the build's creation to the stage's start, the wait for stages it depends on included. " +
				"A stage that never started has neither.",
			Attributes: []attribute.Key{
				attrRepository, attrStage, attrOS, attrArch, attrResult, attrRunState,
			},
			Setting: settingStages, enabled: func(o *Options) bool { return o.Stages },
			Absent: absentEvent,
			Example: "histogram_quantile(0.9, sum by (le, os, arch) " +
				`(rate(drone_stage_duration_seconds_bucket{cicd_pipeline_run_state="pending"}[1h])))`,
			finished: stageDurations,
		},
		{
			Name: "drone.step.duration", Unit: "s", Kind: Histogram,
			Description: "Duration of a step, from its start to its end, recorded when its build has ended. A step that " +
				"never started has none.",
			Attributes: []attribute.Key{attrRepository, attrStage, attrStep, attrResult},
			Setting:    settingSteps, enabled: func(o *Options) bool { return o.Steps },
			Absent: absentEvent,
			Example: "topk(10, sum by (cicd_pipeline_name, stage, step) (rate(drone_step_duration_seconds_sum[1d])) / " +
				"sum by (cicd_pipeline_name, stage, step) (rate(drone_step_duration_seconds_count[1d])))",
			finished: stepDurations,
		},
	}
}

func stageDurations(b *FinishedBuild, put recorder) {
	for i := range b.Stages {
		stage := &b.Stages[i]
		if !stage.ran() {
			continue
		}
		common := []attribute.KeyValue{
			attrRepository.String(b.Repository), attrStage.String(stage.Name),
			attrOS.String(stage.OS), attrArch.String(stage.Arch),
		}
		if seconds, known := span(stage.Created, stage.Started); known {
			put(seconds, append(common, semconv.CICDPipelineRunStatePending)...)
		}
		if seconds, known := span(stage.Started, stage.Stopped); known {
			put(seconds, append(append(common, resultOf(stage.Status)...), semconv.CICDPipelineRunStateExecuting)...)
		}
	}
}

func stepDurations(b *FinishedBuild, put recorder) {
	for _, stage := range b.Stages {
		for _, step := range stage.Steps {
			seconds, known := span(step.Started, step.Stopped)
			if known && step.ran() {
				put(seconds, append(resultOf(step.Status), attrRepository.String(b.Repository),
					attrStage.String(stage.Name), attrStep.String(step.Name))...)
			}
		}
	}
}

// lastBuilds tell of each repository's newest finished build of the default branch.
func lastBuilds() []Instrument {
	const absent = "of a repository until a build of its default branch was seen to end, and of `" + Other + "`" + andStale
	last := func(value func(*LastBuild) float64) func(*view, observer) {
		return func(v *view, put observer) {
			for i := range v.Repos {
				if build := v.Repos[i].Last; build != nil {
					put(value(build), v.series[i].name...)
				}
			}
		}
	}
	return []Instrument{
		{
			Name:        "drone.repo.last_build.success",
			Description: "1 where the newest finished build of the default branch succeeded, else 0.",
			Attributes:  []attribute.Key{attrRepository},
			Absent:      absent,
			Example:     "drone_repo_last_build_success == 0",
			observe:     last(func(b *LastBuild) float64 { return truth(b.Success) }),
		},
		{
			Name: "drone.repo.last_build.duration", Unit: "s", fractional: true,
			Description: "How long the newest finished build of the default branch ran.",
			Attributes:  []attribute.Key{attrRepository},
			Absent:      absent,
			Example:     "topk(10, drone_repo_last_build_duration_seconds)",
			observe:     last(func(b *LastBuild) float64 { return max(0, b.Duration.Seconds()) }),
		},
		{
			Name: "drone.repo.last_build.finished_timestamp", Unit: "s", fractional: true,
			Description: "When the newest finished build of the default branch ended, in Unix time.",
			Attributes:  []attribute.Key{attrRepository},
			Absent:      absent,
			Example:     "time() - drone_repo_last_build_finished_timestamp_seconds > 7 * 86400",
			observe:     last(func(b *LastBuild) float64 { return unixSeconds(b.Finished) }),
		},
	}
}
