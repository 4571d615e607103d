package instruments

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/cicdconv"
)

// Attributes of the instruments: OpenTelemetry's where its conventions have them, else Drone's own words. Each
// has a bounded number of values: no build numbers, commits, branches or people.
const (
	attrRepository = semconv.CICDPipelineNameKey
	attrRunState   = semconv.CICDPipelineRunStateKey
	attrResult     = semconv.CICDPipelineResultKey
	attrErrorType  = semconv.ErrorTypeKey
	attrComponent  = semconv.CICDSystemComponentKey

	attrBranchClass = attribute.Key("drone.branch.class")
	attrBuildStatus = attribute.Key("drone.build.status")
	attrBuildEvent  = attribute.Key("drone.build.event")
	attrStageStatus = attribute.Key("drone.stage.status")

	attrStage   = attribute.Key("stage")
	attrStep    = attribute.Key("step")
	attrOS      = attribute.Key("os")
	attrArch    = attribute.Key("arch")
	attrType    = attribute.Key("type")
	attrVersion = attribute.Key("version")
	attrEdition = attribute.Key("edition")
	attrState   = attribute.Key("state")
)

// labelKey is the attribute of a stage label: labels are the users' own words and could be any other key.
func labelKey(label string) attribute.Key { return attribute.Key("drone.stage.label." + label) }

// droneAPI is the component of the CI/CD system that failed requests are errors of.
const droneAPI = "drone-api"

// Drone's statuses, as in [FinishedBuild].
const (
	statusBlocked  = "blocked"
	statusPending  = "pending"
	statusRunning  = "running"
	statusSuccess  = "success"
	statusFailure  = "failure"
	statusKilled   = "killed"
	statusDeclined = "declined"
	statusError    = "error"
	statusSkipped  = "skipped"
)

// resultOf says a final status in the words of the conventions; nothing for one that nobody knows.
func resultOf(status string) []attribute.KeyValue {
	var result cicdconv.PipelineResultAttr
	switch status {
	case statusSuccess:
		result = cicdconv.PipelineResultSuccess
	case statusFailure:
		result = cicdconv.PipelineResultFailure
	case statusKilled, statusDeclined:
		result = cicdconv.PipelineResultCancellation
	case statusError:
		result = cicdconv.PipelineResultError
	case statusSkipped:
		result = cicdconv.PipelineResultSkip
	default:
		return nil
	}
	return []attribute.KeyValue{cicdconv.PipelineRunDuration{}.AttrPipelineResult(result)}
}

// errorOther is the conventions' word for an error that is none of those named.
func errorOther() string { return string(cicdconv.ErrorTypeOther) }

// errorTypeOf is what made a build fail, empty where it did not: one of a few words.
func errorTypeOf(b *FinishedBuild) string {
	switch b.ErrorType {
	case "step", "config", "runner", "timeout":
		return b.ErrorType
	case "":
		if b.Status != statusFailure && b.Status != statusError {
			return ""
		}
	}
	return errorOther()
}

// eventOf is what caused a build: one of Drone's events.
func eventOf(b *FinishedBuild) string {
	switch b.Event {
	case "", "push", "pull_request", "tag", "cron", "promote", "rollback", "custom":
		return b.Event
	}
	return Other
}

// truth is 1 where it holds, else 0.
func truth(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
